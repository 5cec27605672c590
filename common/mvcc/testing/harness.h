#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/memory_backend.h"
#include "common/mvcc/record.h"
#include "common/mvcc/store.h"
#include "common/mvcc/testing/kv.h"

namespace coppice::mvcc::testing {

// A place that survives a store: what the suites that run on both backends need of them.
class Place {
 public:
  virtual ~Place() = default;
  virtual std::unique_ptr<KvBackend> Open() = 0;
  // Loses what was not flushed. Nothing is open.
  virtual void Crash() = 0;
  // Makes writes fail, or work again; false if this place cannot.
  virtual bool FailWrites(bool /*fail*/) { return false; }
};

class MemoryPlace final : public Place {
 public:
  std::unique_ptr<KvBackend> Open() override { return std::make_unique<MemoryBackend>(disk_); }
  void Crash() override { disk_->Crash(); }
  bool FailWrites(bool fail) override {
    disk_->SetFailure(fail ? MakeStatus(StatusCode::kResourceExhausted, "disk full") : OkStatus());
    return true;
  }
  MemoryDisk& disk() { return *disk_; }

 private:
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
};

// In a temporary directory, removed at the end. Closing never flushes, so that closing is crashing.
class RocksDbPlace final : public Place {
 public:
  RocksDbPlace();
  ~RocksDbPlace() override;
  std::unique_ptr<KvBackend> Open() override;
  void Crash() override {}
  std::string NewPath() const { return dir_ + "/copy"; }  // beside the database

 private:
  std::string dir_;
};

Kv ToKv(const Record& record);

// A store with the entries it was given, so that it can be opened again after a crash.
class Harness {
 public:
  explicit Harness(std::unique_ptr<Place> place, StoreOptions options = {});

  Store& store() { return *store_; }
  Place& place() { return *place_; }
  void Reopen();  // applies again what the crash lost
  // The disk is full when the next Apply is tried first; then garbage is collected, and it is tried
  // again.
  void FailNextApply() { fail_next_ = true; }

  ApplyOutput Apply(std::vector<Command> commands, std::vector<MetaWrite> meta = {});
  CommandResult Apply(Command command);  // one
  Revision Put(std::string key, std::string value);
  std::int64_t Delete(KeyRange range);
  Error Compact(Revision revision);
  void CollectAll();

  const ReadView& View() { return store_->View(0); }
  RangeResult Range(const RangeOp& op, Error expected = Error::kNone);
  std::vector<Kv> Read(const RangeOp& op) { return ParseKvs(Range(op).kvs); }
  std::vector<EventBatchPtr> History(Revision from, bool with_prev = true);

 private:
  std::unique_ptr<Place> place_;
  const StoreOptions options_;
  void TryInVain(std::span<const EntryPtr> entries);

  std::vector<EntryPtr> log_;
  std::unique_ptr<Store> store_;
  bool fail_next_ = false;
};

KeyRange Key(std::string_view key);
KeyRange Between(std::string_view begin, std::string_view end);
KeyRange All();
Command MakePut(std::string key, std::string value);
RangeOp Get(std::string_view key, Revision revision = 0);

}  // namespace coppice::mvcc::testing
