#pragma once

#include <cstdint>

#include "common/base/tagged.h"

namespace coppice {

using Term = Tagged<struct TermTag>;    // a Raft term; 0 = before the first election
using Index = Tagged<struct IndexTag>;  // a position in the Raft log; the first entry is 1
using NodeId =
    Tagged<struct NodeIdTag>;  // a process's persistent id, unique in its cluster; 0 = none

// etcd's revision: one per write transaction. An empty store is at 1, the first write makes 2.
using Revision = std::int64_t;

}  // namespace coppice
