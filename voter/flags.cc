#include "voter/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
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

void AddFlags(CLI::App& app, VoterOptions& options, Raw& raw) {
  node::AddCommonFlags(app, options.flags);
  app.add_option("--data-dir", options.data_dir, "Where log and store live (default NAME.coppice)");
  node::AddUrls(app, "--listen-peer-urls", options.listen_peer_urls,
                "Addresses for voters, learners and proxies");
  node::AddUrls(app, "--initial-advertise-peer-urls", options.advertise_peer_urls,
                "This voter's peer addresses as the other processes reach them");
  app.add_option("--initial-cluster", raw.initial_cluster, "NAME=URL of every voter, with commas");
  app.add_option("--initial-cluster-state", raw.cluster_state, "new or existing")
      ->check(CLI::IsMember({"new", "existing"}));
  app.add_option("--initial-cluster-token", options.cluster_token,
                 "Keeps clusters with equal addresses apart");
  app.add_option("--heartbeat-interval", raw.heartbeat_ms, "Milliseconds between heartbeats")
      ->check(CLI::Range(1, 60'000));
  app.add_option("--election-timeout", raw.election_ms,
                 "Milliseconds without a leader to an election")
      ->check(CLI::Range(5, 600'000));
  app.add_option("--snapshot-count", raw.snapshot_count,
                 "Accepted for etcd's sake; the log is kept whole until snapshots are built");
  app.add_option("--quota-backend-bytes", raw.quota_bytes,
                 "Store size that raises NOSPACE; 0: 2 GiB")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--auto-compaction-mode", raw.compaction_mode, "periodic or revision")
      ->check(CLI::IsMember({"periodic", "revision"}));
  app.add_option("--auto-compaction-retention", raw.compaction_retention, "0: off");
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
  CLI::App app("A voter of a Coppice cluster: takes part in Raft and serves every request",
               "coppice-voter");
  Raw raw;
  AddFlags(app, options, raw);
  if (const auto code = node::ParseCommandLine(app, argc, argv)) return code;
  if (const Status status = Check(options, raw); !status.ok()) return node::FlagError(status);
  return std::nullopt;
}

}  // namespace coppice::voter
