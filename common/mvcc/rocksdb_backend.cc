#include "common/mvcc/rocksdb_backend.h"

#include <atomic>
#include <utility>
#include <vector>

#include "common/mvcc/rocksdb_faults.h"
#include "common/mvcc/rocksdb_log.h"
#include "common/mvcc/rocksdb_space.h"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/checkpoint.h"
#include "rocksdb/utilities/table_properties_collectors.h"
#include "rocksdb/write_batch.h"

namespace coppice::mvcc {
namespace {

rocksdb::Slice ToSlice(std::string_view s) {
  return {s.data(), s.size()};
}
std::string_view FromSlice(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return OkStatus();
  StatusCode code = StatusCode::kInternal;
  if (status.IsNotFound()) {
    code = StatusCode::kNotFound;
  } else if (status.IsNoSpace()) {
    code = StatusCode::kResourceExhausted;
  } else if (status.IsCorruption()) {
    code = StatusCode::kDataLoss;
  } else if (status.IsInvalidArgument()) {
    code = StatusCode::kFailedPrecondition;
  } else if (status.IsBusy() || status.IsTimedOut()) {
    code = StatusCode::kUnavailable;
  }
  return MakeStatus(code, "rocksdb: " + status.ToString());
}

rocksdb::CompressionType ToRocksDb(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return rocksdb::kNoCompression;
    case Compression::kLz4:
      return rocksdb::kLZ4Compression;
    case Compression::kZstd:
      return rocksdb::kZSTD;
  }
  return rocksdb::kNoCompression;
}

rocksdb::DBOptions DbOptions(const RocksDbOptions& options, rocksdb::Env& env) {
  rocksdb::DBOptions db;
  db.env = &env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.atomic_flush = true;
  db.allow_concurrent_memtable_write = false;
  db.enable_write_thread_adaptive_yield = false;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.skip_stats_update_on_db_open = true;
  db.max_background_jobs = 2;
  db.max_file_opening_threads = 1;
  db.info_log = StoreLog();
  db.info_log_level = rocksdb::WARN_LEVEL;
  db.avoid_flush_during_shutdown = true;  // a clean end must not do more than a crash
  db.bytes_per_sync = 1U << 20;
  if (options.no_background_work) db.max_background_jobs = 1;
  return db;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const RocksDbOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family;
  family.arena_block_size = 128U << 10;
  family.compression = ToRocksDb(options.compression);
  family.disable_auto_compactions = options.no_background_work;
  // Writes go on or are refused, they are never slowed down: RocksDB books what it refuses as if it
  // had been let in after a delay, so that a batch which is tried again and again may never be let
  // in (docs/adr/0012-store-stalls.md).
  family.level0_slowdown_writes_trigger = family.level0_stop_writes_trigger;
  family.soft_pending_compaction_bytes_limit = family.hard_pending_compaction_bytes_limit;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 16U << 10;
  table.format_version = 5;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

// Rows are written once, in ascending order, and erased by compactions.
rocksdb::ColumnFamilyOptions RevOptions(const RocksDbOptions& options,
                                        const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions rev = FamilyOptions(options, cache);
  rev.write_buffer_size = options.write_buffer_bytes;
  rev.enable_blob_files = true;
  rev.min_blob_size = options.blob_bytes_min;
  rev.blob_compression_type = rev.compression;
  rev.enable_blob_garbage_collection = true;
  // Files in which a compaction left mostly erasures are rewritten soon.
  rev.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(4096, 1024));
  return rev;
}

// What a database stands on, and outlives it.
struct Disk {
  std::shared_ptr<SpaceWait> space = std::make_shared<SpaceWait>();
  std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(WaitForSpace(StoreFileSystem(), space));
};

class RocksDbBackend final : public KvBackend {
 public:
  RocksDbBackend(Disk disk, std::unique_ptr<rocksdb::DB> db,
                 std::vector<rocksdb::ColumnFamilyHandle*> families, bool wait_in_flush)
      : disk_(std::move(disk)), db_(std::move(db)), families_(std::move(families)) {
    disk_.space->Begin();
    write_.disableWAL = true;
    write_.no_slowdown = true;
    flush_.wait = true;
    flush_.allow_write_stall = wait_in_flush;
  }

  ~RocksDbBackend() override {
    disk_.space->End();
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family);
    db_->Close();
  }

  Status Apply(std::span<const Write> batch) override {
    batch_.Clear();
    for (const Write& write : batch) {
      const rocksdb::Status status = write.erase
                                         ? batch_.Delete(Handle(write.family), write.key)
                                         : batch_.Put(Handle(write.family), write.key, write.value);
      if (!status.ok()) return ToStatus(status);
    }
    const rocksdb::Status status = db_->Write(write_, &batch_);
    if (!status.IsIncomplete()) return ToStatus(status);
    // Flushes and compactions that have to come first may themselves wait for space.
    if (disk_.space->waiting()) {
      return ToStatus(rocksdb::Status::NoSpace("what came before waits for it"));
    }
    return MakeStatus(StatusCode::kUnavailable,
                      "rocksdb: it stalls until it has flushed or compacted what it holds");
  }

  bool Stalled() const override {
    std::uint64_t stopped = 0;
    return db_->GetIntProperty(rocksdb::DB::Properties::kIsWriteStopped, &stopped) && stopped != 0;
  }

  Status Get(Family family, std::string_view key, std::string& value) const override {
    rocksdb::PinnableSlice slice;
    const rocksdb::Status status = db_->Get(read_, Handle(family), ToSlice(key), &slice);
    if (status.ok()) value = FromSlice(slice);
    return ToStatus(status);
  }

  Status Scan(Family family, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    rocksdb::ReadOptions read = read_;
    const rocksdb::Slice upper = ToSlice(end);
    if (!end.empty()) read.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read, Handle(family)));
    for (it->Seek(ToSlice(begin)); it->Valid(); it->Next()) {
      if (!visit(FromSlice(it->key()), FromSlice(it->value()))) break;
    }
    return ToStatus(it->status());
  }

  // All families are named: with atomic_flush only those that are get flushed together.
  Status Flush() override { return ToStatus(db_->Flush(flush_, families_)); }

  Status CompactRange(std::string_view begin, std::string_view end) override {
    rocksdb::CompactRangeOptions compact;
    compact.canceled = &stop_compacting_;
    compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    const rocksdb::Slice low = ToSlice(begin);
    const rocksdb::Slice high = ToSlice(end);
    return ToStatus(
        db_->CompactRange(compact, Handle(Family::kRev), &low, end.empty() ? nullptr : &high));
  }

  void StopCompacting() override {
    stop_compacting_ = true;
    disk_.space->End();
  }

  std::uint64_t DiskBytes() const override {
    std::uint64_t total = 0;
    for (auto* family : families_) {
      for (const auto* property : {"rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size",
                                   "rocksdb.cur-size-all-mem-tables"}) {
        std::uint64_t bytes = 0;
        if (db_->GetIntProperty(family, property, &bytes)) total += bytes;
      }
    }
    return total;
  }

  Status Checkpoint(const std::string& path) {
    rocksdb::Checkpoint* raw = nullptr;
    if (const rocksdb::Status status = rocksdb::Checkpoint::Create(db_.get(), &raw); !status.ok()) {
      return ToStatus(status);
    }
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
    return ToStatus(checkpoint->CreateCheckpoint(path, 0));
  }

 private:
  rocksdb::ColumnFamilyHandle* Handle(Family family) const {
    return families_[1 + static_cast<std::size_t>(family)];
  }

  const Disk disk_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;  // default, rev, meta
  rocksdb::WriteOptions write_;
  rocksdb::ReadOptions read_;
  rocksdb::FlushOptions flush_;
  rocksdb::WriteBatch batch_;  // of the writer; keeps its buffer
  std::atomic<bool> stop_compacting_{false};
};

}  // namespace

StatusOr<std::unique_ptr<KvBackend>> OpenRocksDb(const std::string& path,
                                                 const RocksDbOptions& options) {
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes, 2);
  rocksdb::ColumnFamilyOptions small = FamilyOptions(options, cache);
  small.write_buffer_size = 16U << 20;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, small},
      {"rev", RevOptions(options, cache)},
      {"meta", small}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  Disk disk;
  // RocksDB would make it too, but logs an error that it was not there.
  rocksdb::Status status = disk.env->CreateDirIfMissing(path);
  if (status.ok()) {
    status = rocksdb::DB::Open(DbOptions(options, *disk.env), path, families, &handles, &db);
  }
  // Its lock comes back as one as well.
  if (status.IsIOError() && !status.IsNoSpace()) {
    return MakeStatus(StatusCode::kUnavailable, MessageOf(ToStatus(status)));
  }
  if (!status.ok()) return ToStatus(status);
  return std::unique_ptr<KvBackend>(
      std::make_unique<RocksDbBackend>(std::move(disk), std::unique_ptr<rocksdb::DB>(db),
                                       std::move(handles), options.no_background_work));
}

Status CheckpointRocksDb(KvBackend& backend, const std::string& path) {
  return static_cast<RocksDbBackend&>(backend).Checkpoint(path);
}

}  // namespace coppice::mvcc
