#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/api/urls.h"
#include "common/base/time.h"
#include "common/node/flags.h"
#include "common/node/tuning.h"

namespace coppice::voter {

struct VoterOptions {
  node::CommonFlags flags;
  std::string data_dir;
  std::vector<api::Url> listen_peer_urls;
  std::vector<api::Url> advertise_peer_urls;
  std::vector<std::pair<std::string, api::Url>> initial_cluster;
  std::string cluster_token = "etcd-cluster";
  Micros heartbeat_interval = 100 * kMillisecond;
  Micros election_timeout = 1000 * kMillisecond;
  std::uint64_t quota_bytes = 2U << 30;  // etcd's default; 0 = that too
  node::Tuning tuning;
  std::uint64_t wal_segment_bytes = 64U << 20;
  std::size_t raft_window_bytes = 64U << 20;  // of the log, kept in memory
};

}  // namespace coppice::voter
