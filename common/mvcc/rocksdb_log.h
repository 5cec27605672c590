#pragma once

#include <memory>

#include "rocksdb/env.h"

namespace coppice::mvcc {

// RocksDB's warnings and errors as lines of our log; it writes no LOG file. Debian's RocksDB is
// built with assertions, and one of them ends the process when a second line follows one that could
// not be written to that file: a full disk would stop what can still answer reads. Any thread.
std::shared_ptr<rocksdb::Logger> StoreLog();

}  // namespace coppice::mvcc
