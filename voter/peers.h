#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/io/asio_transport.h"
#include "common/io/loop.h"
#include "common/raft/messages.h"
#include "voter/cluster.h"

namespace coppice::voter {

// The Raft connections of a voter: one that it dials to each other voter, for what it sends; what
// it receives comes on the ones the others dial. All messages of a turn leave in one write per
// peer. Messages to a peer that is not connected, or that takes less than it is sent, are dropped:
// Raft sends again. Thread: the core loop's.
class Peers {
 public:
  struct Hooks {
    std::function<void(NodeId from, raft::Message message)> received;
    // The process behind `peer` is gone: an immediate reconnect was refused, or met another boot.
    std::function<void(NodeId peer)> gone;
    // A voter has dialed this one. Closes the connection if it is not to be listened to.
    std::function<void(io::Connection& connection)> greet;
    // What a voter that was dialed says of this one. False: it does not listen.
    std::function<bool(const PeerAddress& peer, const io::Frame& frame)> greeted;
  };

  Peers(io::Loop& loop, io::Transport& transport, std::vector<PeerAddress> peers, Hooks hooks,
        Rng rng);
  ~Peers();

  void Start();
  void Stop();
  void Send(NodeId to, const raft::Message& message);
  // For the transport's accept: who hears of connections that other voters dial; null if `peer` is
  // not a voter of this cluster.
  io::ConnectionHandler* AcceptFrom(NodeId peer);
  bool Connected(NodeId peer) const;

 private:
  class Outgoing;
  class Incoming;

  io::Loop& loop_;
  io::Transport& transport_;
  Hooks hooks_;
  Rng rng_;
  std::map<NodeId, std::unique_ptr<Outgoing>> outgoing_;
  std::map<NodeId, std::unique_ptr<Incoming>> incoming_;
};

}  // namespace coppice::voter
