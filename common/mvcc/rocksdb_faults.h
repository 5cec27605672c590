#pragma once

#include "rocksdb/env.h"

namespace coppice::mvcc {

// RocksDB's default environment, or, in a process with armed failpoints, one whose files act out
// `store.write`, `store.sync` and `store.read` (common/base/failpoint.h). Lives for ever. Any
// thread.
rocksdb::Env* StoreEnv();

}  // namespace coppice::mvcc
