#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/node/store_tier.h"
#include "common/replica/registry_keeper.h"
#include "voter/boot.h"
#include "voter/directories.h"
#include "voter/leader_link.h"
#include "voter/options.h"
#include "voter/peers.h"
#include "voter/proposals.h"
#include "voter/raft_driver.h"

namespace coppice::voter {

// A voter: Raft over its log and its peers, and what it shares with learners (node::StoreTier).
// Thread: built on main's, then the core loop's.
class Voter {
 public:
  // Opens the data directory, which a first start (FirstStart) has admitted unless the voter is
  // alone in its cluster, and binds the peer addresses. Errors say what is wrong and what to do;
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
  Status OpenDirectories(const std::string& member);
  Status OpenStore(const std::string& path, std::unique_ptr<mvcc::Store>& store,
                   std::optional<BootLog>& boot);
  StatusOr<raft::BootState> OpenState(std::unique_ptr<mvcc::Store>& store,
                                      std::unique_ptr<wal::Wal>& wal);
  void Wire(raft::BootState boot, std::unique_ptr<mvcc::Store> store,
            std::unique_ptr<wal::Wal> wal);
  void WireRaft(raft::BootState boot, std::unique_ptr<wal::Wal> wal);
  void WireCore();
  void GreetPeer(io::Connection& connection);
  bool OnGreeted(const PeerAddress& peer, const io::Frame& frame);
  node::Members StaticMembers() const;
  std::vector<api::Url> ListeningUrls() const;

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
  Cluster cluster_;
  Directories directories_;
  std::uint64_t boot_nonce_ = 0;
  std::int64_t boot_time_ = 0;
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
