#pragma once

#include <cstdint>
#include <string>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/io/disk.h"

namespace coppice::learner {

// Who a learner is, for as long as its data directory lives.
struct Identity {
  NodeId id;
  std::uint64_t cluster_id = 0;  // 0 = it has never heard of one
};

// Reads DIRECTORY/identity; `fresh_id` of no cluster if there is none. A file that does not read as
// one is DataLoss. Changes nothing.
StatusOr<Identity> LoadIdentity(io::Disk& disk, const std::string& directory, NodeId fresh_id);
// Replaces it, durably.
Status SaveIdentity(io::Disk& disk, const std::string& directory, const Identity& identity);

}  // namespace coppice::learner
