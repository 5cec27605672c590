#include "voter/leader_link.h"

#include <utility>

namespace coppice::voter {

using replica::ReadGate;

LeaderLink::LeaderLink(io::Loop& loop, io::Transport& transport, NodeId self, Hooks hooks, Rng rng)
    : loop_(loop), transport_(transport), self_(self), hooks_(std::move(hooks)), rng_(rng) {}

void LeaderLink::SetLeader(NodeId leader, const PeerAddress* peer) {
  if (leader == leader_) return;
  leader_ = leader;
  link_.reset();
  hooks_.gate(ReadGate::UpstreamDown{});
  if (leader == self_) return hooks_.gate(ReadGate::UpstreamUp{});
  if (peer == nullptr) return;
  node::Link::Options address;
  address.host = peer->host;
  address.port = peer->port;
  address.connection_class = io::ConnectionClass::kTail;
  node::Link::Hooks hooks;
  hooks.up = [this](io::Connection&) {
    hooks_.gate(ReadGate::UpstreamUp{});
    hooks_.up();
  };
  hooks.frame = [this](const io::Frame& frame) { OnFrame(frame); };
  hooks.down = [this](const Status&) { hooks_.gate(ReadGate::UpstreamDown{}); };
  link_ =
      std::make_unique<node::Link>(loop_, transport_, address, std::move(hooks), Rng(rng_.Next()));
  link_->Start();
}

void LeaderLink::OnFrame(const io::Frame& frame) {
  if (frame.type != io::FrameType::kReadIndexReply) return;
  replica::ReadIndexReply reply;
  if (!replica::DecodeReadIndexReply(frame.payload, reply)) {
    return link_->Close(MakeStatus(StatusCode::kDataLoss, "malformed ReadIndex reply"));
  }
  if (reply.ok) {
    hooks_.gate(ReadGate::UpstreamAnswer{reply.id, reply.index});
  } else {
    hooks_.gate(ReadGate::UpstreamRefused{reply.id});
  }
}

void LeaderLink::SendRound(std::uint64_t id, bool relaxed) {
  if (leader_ == self_) return hooks_.own_round(id);
  if (link_ == nullptr || link_->connection() == nullptr) return;  // the gate asks again
  const std::string bytes = replica::EncodeReadIndex({id, relaxed});
  io::Frame frame;
  frame.type = io::FrameType::kReadIndex;
  frame.payload = bytes;
  link_->connection()->Send(frame);
}

void LeaderLink::SendRenewals(const replica::RenewBundle& bundle) {
  if (link_ == nullptr || link_->connection() == nullptr) return;
  const std::string bytes = replica::EncodeRenewBundle(bundle);
  io::Frame frame;
  frame.type = io::FrameType::kRegistryRenew;
  frame.payload = bytes;
  link_->connection()->Send(frame);
}

}  // namespace coppice::voter
