#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/mvcc/store.h"

namespace coppice::mvcc {

enum class Compression : std::uint8_t { kNone, kLz4, kZstd };

struct RocksDbOptions {
  Compression compression = Compression::kLz4;
  std::size_t blob_bytes_min = 4096;           // larger values live in blob files
  std::size_t write_buffer_bytes = 64U << 20;  // of the rows, before RocksDB flushes by itself
  std::size_t block_cache_bytes = 32U << 20;
  // Flush and compact only in calls, on the caller's thread: a simulation must be repeatable.
  bool no_background_work = false;
};

// Opens or creates the database in the directory `path`, whose parent exists. Its own log is off:
// what was applied since the last Flush is lost in a crash, all families alike.
// Errors: ResourceExhausted (no space), DataLoss (damage), Unavailable (another process holds it).
StatusOr<std::unique_ptr<KvBackend>> OpenRocksDb(const std::string& path,
                                                 const RocksDbOptions& options = {});

// A consistent copy of what is applied (it flushes first), in a new directory `path` on the same
// file system: hard links to immutable files. `backend` came from OpenRocksDb. Any thread.
Status CheckpointRocksDb(KvBackend& backend, const std::string& path);

}  // namespace coppice::mvcc
