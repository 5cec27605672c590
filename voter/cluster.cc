#include "voter/cluster.h"

#include <fmt/format.h>

#include <map>

#include "common/node/identity.h"

namespace coppice::voter {

std::vector<PeerAddress> Cluster::Others() const {
  std::vector<PeerAddress> others;
  for (const PeerAddress& voter : voters) {
    if (voter.id != self) others.push_back(voter);
  }
  return others;
}

const PeerAddress* Cluster::Find(NodeId voter) const {
  for (const PeerAddress& candidate : voters) {
    if (candidate.id == voter) return &candidate;
  }
  return nullptr;
}

StatusOr<Cluster> ClusterOf(const VoterOptions& options) {
  std::map<std::string, std::vector<std::string>> urls;
  for (const auto& [name, url] : options.initial_cluster) urls[name].push_back(url.ToString());
  Cluster cluster;
  std::vector<NodeId> ids;
  for (const auto& [name, url] : options.initial_cluster) {
    const NodeId id = node::VoterId(urls.at(name), options.cluster_token);
    if (cluster.Find(id) != nullptr) continue;
    ids.push_back(id);
    cluster.voters.push_back({id, name, url.host, url.port});
    if (name == options.flags.name) cluster.self = id;
  }
  if (cluster.self == NodeId()) {
    return MakeStatus(
        StatusCode::kInvalidArgument,
        fmt::format("--initial-cluster does not name this voter: add \"{}=URL\" to it, "
                    "or set --name to one that it has",
                    options.flags.name));
  }
  cluster.id = node::ClusterId(ids);
  return cluster;
}

}  // namespace coppice::voter
