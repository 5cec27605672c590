#pragma once

#include <memory>

#include "rocksdb/file_system.h"

namespace coppice::mvcc {

// RocksDB's default file system, or, in a process with armed failpoints, one whose files act out
// `store.write`, `store.sync` and `store.read` (common/base/failpoint.h). Any thread.
std::shared_ptr<rocksdb::FileSystem> StoreFileSystem();

}  // namespace coppice::mvcc
