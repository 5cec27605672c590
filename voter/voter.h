#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/node/store_tier.h"
#include "common/node/tuning.h"
#include "common/replica/registry_keeper.h"
#include "voter/boot.h"
#include "voter/leader_link.h"
#include "voter/peers.h"
#include "voter/proposals.h"
#include "voter/raft_driver.h"

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

// A voter: Raft over its log and its peers, and what it shares with learners (node::StoreTier).
// Thread: built on main's, then the core loop's.
class Voter {
 public:
  // Opens the data directory and binds the peer addresses. Errors say what is wrong and what to do;
  // nothing was changed on disk by those that come from the flags or a foreign directory. `host`
  // and the disk outlive the voter.
  static StatusOr<std::unique_ptr<Voter>> Open(const VoterOptions& options, node::Host& host,
                                               node::Storage storage);
  ~Voter();

  // Binds the addresses for clients and metrics.
  Status ListenForClients() { return tier_->ListenForClients(); }
  // Until a signal; OK after an orderly end.
  Status Run();
  // What Run is made of, for an owner that turns the loops itself: begins the work on the core
  // loop; on that loop, ends it in order until every loop is stopped; and then saves what is
  // applied.
  void Start();
  void Shutdown();
  Status Finish();

  node::Runtime& runtime() { return runtime_; }
  node::StoreTier& tier() { return *tier_; }
  const RaftDriver& driver() const { return *driver_; }
  const wal::Recovered& recovered() const { return recovered_; }  // what its log held at the start

 private:
  Voter(const VoterOptions& options, node::Host& host, node::Storage storage);
  Status Init();
  Status FindIdentity();
  Status OpenStore(const std::string& path, std::unique_ptr<mvcc::Store>& store,
                   std::optional<BootLog>& boot);
  StatusOr<raft::BootState> OpenState(std::unique_ptr<mvcc::Store>& store,
                                      std::unique_ptr<wal::Wal>& wal);
  void Wire(raft::BootState boot, std::unique_ptr<mvcc::Store> store,
            std::unique_ptr<wal::Wal> wal);
  void WireRaft(raft::BootState boot, std::unique_ptr<wal::Wal> wal);
  void WireCore();
  std::vector<PeerAddress> OtherVoters() const;
  node::Members StaticMembers() const;
  std::vector<api::Url> ListeningUrls() const;
  const PeerAddress* FindPeer(NodeId id) const;

  void OnRaftChanged(const raft::Status& status);
  void UpdateFacts();
  bool IsReady() const;
  void OnApplied(std::span<const EntryPtr> entries);
  StatusOr<std::vector<EntryPtr>> ReadLog(Index from, Index to, std::size_t bytes_max) const;
  void Propose(int loop, std::vector<node::WriteIntent> intents);
  void ProposeRegistry(std::vector<std::string> payloads);
  void OnRenewals(const replica::RenewBundle& bundle);
  void TickRegistry();
  void CheckSpace();
  void TellTailSource();

  const VoterOptions options_;
  const node::Storage storage_;
  node::Runtime runtime_;
  std::unique_ptr<io::File> lock_;
  wal::Recovered recovered_;
  NodeId self_;
  std::uint64_t cluster_id_ = 0;
  std::uint64_t boot_nonce_ = 0;
  std::int64_t boot_time_ = 0;
  std::vector<PeerAddress> voters_;  // all of them, this one included
  std::unique_ptr<node::StoreTier> tier_;
  std::unique_ptr<Peers> peers_;
  std::unique_ptr<LeaderLink> leader_link_;
  std::unique_ptr<RaftDriver> driver_;
  std::unique_ptr<Proposals> proposals_;
  std::unique_ptr<replica::RegistryKeeper> keeper_;
  std::unique_ptr<replica::RegistryRenewer> renewer_;
  bool said_ready_ = false;
};

}  // namespace coppice::voter
