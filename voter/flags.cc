#include "voter/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/node/flags.h"

namespace coppice::voter {
namespace {

// What the flags say before they are checked against each other.
struct Raw {
  std::string initial_cluster;
  std::string cluster_state = "new";
  std::int64_t heartbeat_ms = 100;
  std::int64_t election_ms = 1000;
  std::int64_t quota_bytes = 0;
  std::uint64_t snapshot_count = 100'000;
  std::string compaction_mode = "periodic";
  std::string compaction_retention = "0";
};

void AddFlags(node::CommandLine& line, VoterOptions& options, Raw& raw) {
  node::AddCommonFlags(line, options.flags);
  line.Text("--data-dir", options.data_dir, "Where log and store live (default NAME.coppice)");
  line.Urls("--listen-peer-urls", options.listen_peer_urls,
            "Addresses for voters, learners and proxies");
  line.Urls("--initial-advertise-peer-urls", options.advertise_peer_urls,
            "This voter's peer addresses as the other processes reach them");
  line.Text("--initial-cluster", raw.initial_cluster, "NAME=URL of every voter, with commas");
  line.Choice("--initial-cluster-state", raw.cluster_state, {"new", "existing"}, "new or existing");
  line.Text("--initial-cluster-token", options.cluster_token,
            "Keeps clusters with equal addresses apart");
  line.NumberIn<std::int64_t>("--heartbeat-interval", raw.heartbeat_ms, 1, 60'000,
                              "Milliseconds between heartbeats");
  line.NumberIn<std::int64_t>("--election-timeout", raw.election_ms, 5, 600'000,
                              "Milliseconds without a leader to an election");
  line.Number("--snapshot-count", raw.snapshot_count,
              "Accepted for etcd's sake; the log is kept whole until snapshots are built");
  line.NumberIn<std::int64_t>("--quota-backend-bytes", raw.quota_bytes, 0, INT64_MAX,
                              "Store size that raises NOSPACE; 0: 2 GiB");
  line.Choice("--auto-compaction-mode", raw.compaction_mode, {"periodic", "revision"},
              "periodic or revision");
  line.Text("--auto-compaction-retention", raw.compaction_retention, "0: off");
}

Status Check(VoterOptions& options, const Raw& raw) {
  if (raw.election_ms < 5 * raw.heartbeat_ms) {
    return MakeStatus(
        StatusCode::kInvalidArgument,
        fmt::format("--election-timeout {} is less than five times --heartbeat-interval "
                    "{}: raise the one or lower the other",
                    raw.election_ms, raw.heartbeat_ms));
  }
  if (raw.compaction_retention != "0") {
    return MakeStatus(
        StatusCode::kInvalidArgument,
        "--auto-compaction-retention: automatic compaction is not built yet; use 0 and "
        "the compaction command");
  }
  options.heartbeat_interval = raw.heartbeat_ms * kMillisecond;
  options.election_timeout = raw.election_ms * kMillisecond;
  options.quota_bytes = static_cast<std::uint64_t>(raw.quota_bytes);
  if (options.flags.name.empty()) options.flags.name = "default";
  if (options.data_dir.empty()) options.data_dir = options.flags.name + ".coppice";
  if (options.listen_peer_urls.empty()) options.listen_peer_urls = {{"localhost", 2380}};
  if (options.advertise_peer_urls.empty()) options.advertise_peer_urls = options.listen_peer_urls;
  if (raw.initial_cluster.empty()) {
    for (const api::Url& url : options.advertise_peer_urls) {
      options.initial_cluster.emplace_back(options.flags.name, url);
    }
    return OkStatus();
  }
  COPPICE_ASSIGN_OR_RETURN(options.initial_cluster,
                           api::ParseNamedUrls("--initial-cluster", raw.initial_cluster));
  std::vector<api::Url> named;
  for (const auto& [name, url] : options.initial_cluster) {
    if (name == options.flags.name) named.push_back(url);
  }
  if (named != options.advertise_peer_urls) {
    return MakeStatus(StatusCode::kInvalidArgument,
                      fmt::format("--initial-cluster gives {} other addresses than "
                                  "--initial-advertise-peer-urls: make them the same",
                                  options.flags.name));
  }
  return OkStatus();
}

}  // namespace

std::optional<int> ParseFlags(int argc, const char* const* argv, VoterOptions& options) {
  node::CommandLine line(
      "A voter of a Coppice cluster: takes part in Raft and serves every request", "coppice-voter");
  Raw raw;
  AddFlags(line, options, raw);
  if (const auto code = line.Parse(argc, argv)) return code;
  if (const Status status = Check(options, raw); !status.ok()) return node::FlagError(status);
  return std::nullopt;
}

}  // namespace coppice::voter
