#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/api/urls.h"
#include "common/base/status.h"
#include "common/node/host.h"

namespace coppice::learner {

// Asks the upstreams in turn, until one answers, which cluster they belong to; waits up to
// `patience` for one to come up. Thread: the loop's.
class ClusterFinder {
 public:
  using Done = std::function<void(StatusOr<std::uint64_t> cluster_id)>;
  ClusterFinder(node::Host& host, io::Loop& loop, const io::TransportOptions& transport,
                std::vector<api::Url> upstream, Micros patience = 60 * kSecond);
  ~ClusterFinder();
  // `done` runs once, not from within. The finder may die in any later turn.
  void Start(Done done);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

// Does so on a loop of its own, before the process's own run: blocks. Cancelled if a signal asks
// the process to stop meanwhile.
StatusOr<std::uint64_t> FindCluster(node::Host& host, const io::TransportOptions& transport,
                                    const std::vector<api::Url>& upstream);

}  // namespace coppice::learner
