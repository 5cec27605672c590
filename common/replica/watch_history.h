#pragma once

#include "common/mvcc/store.h"
#include "common/replica/watch_hub.h"

namespace coppice::replica {

// Answers a hub from the store: from its ring if that reaches back so far (memory only), else false
// and the driver runs ReadHistory, which may read the disk, where that does no harm.
bool ReadRing(const mvcc::Store& store, const NeedHistory& need, History& out);
History ReadHistory(const mvcc::Store& store, const NeedHistory& need);

}  // namespace coppice::replica
