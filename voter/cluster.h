#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "voter/options.h"

namespace coppice::voter {

struct PeerAddress {
  NodeId id;
  std::string name;
  std::string host;
  std::uint16_t port = 0;
};

// Who the voters are, by the flags.
struct Cluster {
  std::uint64_t id = 0;
  NodeId self;
  std::vector<PeerAddress> voters;  // all of them, this one included

  std::vector<PeerAddress> Others() const;
  const PeerAddress* Find(NodeId voter) const;  // null: no voter of this cluster
};

// An error if --initial-cluster does not name this voter.
StatusOr<Cluster> ClusterOf(const VoterOptions& options);

}  // namespace coppice::voter
