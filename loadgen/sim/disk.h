#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/io/memory_disk.h"
#include "common/mvcc/memory_backend.h"
#include "loadgen/sim/process.h"

namespace coppice::sim {

// A machine's disk as the process on it sees it: io::MemoryDisk, which loses and tears what was not
// synced, plus the time that syncs take, and a power cut at a chosen operation. It outlives the
// processes; what a dead one still does has no effect.
// Thread: one.
class SimDisk final : public io::Disk {
 public:
  SimDisk(Fabric& fabric, std::uint64_t machine);

  io::MemoryDisk& memory() { return memory_; }
  // The process that runs on the machine now; null: none.
  void SetProcess(Process* process) { process_ = process; }
  // The process dies at the n-th operation from now that changes something, before it is done;
  // `power_loss`: with its machine. 0: it does not.
  void DieAt(std::uint64_t n, bool power_loss = false) {
    die_in_ = n;
    power_fails_ = power_loss;
  }
  // The process that just ended took the machine along. Says so once.
  bool TakePowerLoss() { return std::exchange(lost_power_, false); }
  Rng& rng() { return rng_; }
  void SetSyncTime(Micros min, Micros max) {
    sync_min_ = min;
    sync_max_ = max;
  }

  StatusOr<std::unique_ptr<io::File>> Open(const std::string& path, Mode mode) override;
  StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  Status CreateDirectories(const std::string& directory) override;
  Status Remove(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status SyncDirectory(const std::string& directory) override;
  StatusOr<std::uint64_t> FreeBytes(const std::string& directory) override;
  StatusOr<std::unique_ptr<io::File>> Lock(const std::string& path) override;

 private:
  class SimFile;
  Status Enter();  // an operation that changes something
  Status Alive() const;
  void SpendSync();

  Fabric& fabric_;
  Rng rng_;
  io::MemoryDisk memory_;
  Process* process_ = nullptr;
  std::uint64_t die_in_ = 0;
  bool power_fails_ = false;
  bool lost_power_ = false;
  Micros sync_min_ = 50;
  Micros sync_max_ = 500;
};

// What a state store writes to: rows in memory, or in the real RocksDB, that a crash takes back to
// the last flush. It also flushes by itself now and then, always whole batches, as RocksDB does.
class SimBackend final : public mvcc::KvBackend {
 public:
  SimBackend(std::shared_ptr<mvcc::MemoryDisk> disk, Process& process, double flush_chance);
  // `failure`, unless it is OK, is what writing returns; a stall as in mvcc::MemoryDisk. Outlives
  // the backend.
  SimBackend(std::unique_ptr<mvcc::KvBackend> rocksdb, const Status& failure, Process& process,
             double flush_chance);

  Status Apply(std::span<const Write> batch) override;
  bool Stalled() const override {
    return rows_->Stalled() ||
           (failure_ != nullptr && failure_->code() == StatusCode::kUnavailable);
  }
  Status Get(Family family, std::string_view key, std::string& value) const override {
    return rows_->Get(family, key, value);
  }
  Status Scan(Family family, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return rows_->Scan(family, begin, end, visit);
  }
  Status Flush() override;
  Status CompactRange(std::string_view begin, std::string_view end) override {
    return rows_->CompactRange(begin, end);
  }
  void StopCompacting() override {}
  // RocksDB's depends on more than what was written.
  std::uint64_t DiskBytes() const override { return failure_ != nullptr ? 0 : rows_->DiskBytes(); }

 private:
  Status CheckFailure() const;

  const std::unique_ptr<mvcc::KvBackend> rows_;
  const Status* const failure_ = nullptr;  // of RocksDB
  Process& process_;
  const double flush_chance_;
  Rng rng_;
};

}  // namespace coppice::sim
