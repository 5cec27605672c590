#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/apply.h"
#include "common/mvcc/ring.h"
#include "common/mvcc/store.h"
#include "common/mvcc/views.h"

namespace coppice::mvcc {

// See store.h. Spread over store.cc (opening, the writer), history.cc, hash.cc, cursor.cc and
// compaction.cc.
class StoreImpl final : public Store {
 public:
  StoreImpl(std::unique_ptr<KvBackend> backend, const StoreOptions& options);
  // Brings the index back from the rows.
  Status Recover();

  Status Apply(std::span<const EntryPtr> entries, std::span<const MetaWrite> meta,
               ApplyOutput& out) override;
  void PublishFresh(Time fresh_as_of) override;
  Status Flush() override;
  Index flushed() const override { return Index(flushed_.load()); }
  std::size_t unflushed_bytes() const override { return unflushed_bytes_.load(); }
  bool CollectGarbage() override;
  std::string GetMeta(std::string_view key) const override;
  void ScanMeta(
      std::string_view prefix,
      const std::function<void(std::string_view, std::string_view)>& visit) const override;
  bool AlarmActive(AlarmType type) const override;
  std::vector<std::pair<NodeId, AlarmType>> Alarms() const override;

  const ReadView& View(int loop) const override { return views_.Acquire(loop); }
  void Quiesce(int loop, bool blocking) override { views_.Quiesce(loop, blocking); }
  Error Range(int loop, const ReadView& view, const RangeOp& op, RangeResult& out) const override;
  void Warm(const ReadView& view, std::span<const std::string_view> keys) const override {
    mvcc::Warm(*static_cast<const Inner*>(view.root), keys);
  }
  std::unique_ptr<RangeCursor> NewCursor(int loop, const RangeOp& op) const override;
  std::size_t EstimateBytes(const ReadView& view, const RangeOp& op) const override;
  Error ReadTxn(int loop, const ReadView& view, const TxnOp& txn, TxnResult& out) const override;
  Revision RingFirst() const override { return ring_.First(); }
  bool EventsFrom(Revision from, std::size_t max, std::vector<EventBatchPtr>& out) const override {
    return ring_.From(from, max, out);
  }
  Error ScanHistory(Revision from, Revision to, std::size_t rows_max, bool with_prev,
                    std::vector<EventBatchPtr>& out, Revision& next) const override;
  Error HashKv(Revision revision, std::uint32_t& hash, Revision& compact_revision) const override;
  std::uint64_t DiskBytes() const override { return backend_->DiskBytes(); }
  std::uint64_t KeyCount() const override { return key_count_.load(); }
  KvBackend& backend() override { return *backend_; }

 private:
  ReadState StateOf(const ReadView& view) const;
  void Publish(Garbage garbage);
  Status CheckFormat();
  Status LoadMeta();
  Status LoadRows();
  Status Decode(std::span<const EntryPtr> entries, std::vector<Command>& commands) const;
  Status WriteBatch(const std::vector<KvBackend::Write>& writes);

  const std::unique_ptr<KvBackend> backend_;
  Tree tree_;
  mutable ViewTable views_;
  EventRing ring_;
  AppliedState state_;
  Time fresh_as_of_ = 0;

  // Garbage collection: keys below sweep_key_ are done up to sweep_revision_.
  Revision sweep_revision_ = -1;
  Revision swept_revision_ = -1;
  std::string sweep_key_;

  std::atomic<std::uint64_t> applied_{0};  // what the backend holds
  std::atomic<std::uint64_t> flushed_{0};
  std::atomic<std::size_t> unflushed_bytes_{0};
  std::atomic<std::uint64_t> key_count_{0};
};

}  // namespace coppice::mvcc
