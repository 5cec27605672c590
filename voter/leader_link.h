#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/node/link.h"
#include "common/node/replica_core.h"
#include "common/replica/replica_wire.h"
#include "voter/peers.h"

namespace coppice::voter {

// Where a voter's read rounds go: its own Raft core while it leads, else a tail connection to the
// leader. Tells the gate when the way is there and when it is lost.
// Thread: the core loop's.
class LeaderLink final : public node::RoundSender {
 public:
  struct Hooks {
    std::function<void(replica::ReadGate::Input)> gate;
    std::function<void(std::uint64_t id)> own_round;  // to the own Raft core
    std::function<void()> up;                         // the connection to a leader is there
  };

  LeaderLink(io::Loop& loop, io::Transport& transport, NodeId self, Hooks hooks, Rng rng);

  // `leader` 0: unknown. `peer` is where it is reached, null if that is this node.
  void SetLeader(NodeId leader, const PeerAddress* peer);
  void SendRound(std::uint64_t id, bool relaxed) override;
  void SendRenewals(const replica::RenewBundle& bundle);
  void Stop() { link_.reset(); }

 private:
  void OnFrame(const io::Frame& frame);

  io::Loop& loop_;
  io::Transport& transport_;
  const NodeId self_;
  Hooks hooks_;
  Rng rng_;
  NodeId leader_;
  std::unique_ptr<node::Link> link_;
};

}  // namespace coppice::voter
