#include "voter/peers.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace coppice::voter {
namespace {

constexpr Micros kRedialMin = 20 * kMillisecond;
constexpr Micros kRedialMax = 500 * kMillisecond;
// More than this unsent: the peer does not keep up, and what is sent now would only be late.
constexpr std::size_t kUnsentMax = 16U << 20;

}  // namespace

class Peers::Outgoing final : public io::ConnectionHandler {
 public:
  Outgoing(Peers& peers, PeerAddress address) : peers_(peers), address_(std::move(address)) {}
  ~Outgoing() override { *alive_ = false; }

  void Dial() {
    timer_ = 0;
    dialing_ = true;
    peers_.transport_.Dial(address_.host, address_.port, io::ConnectionClass::kRaft, *this,
                           [this, alive = alive_](const io::DialFailure& failure) {
                             if (*alive) OnFailure(failure);
                           });
  }

  void Stop() {
    stopped_ = true;
    if (timer_ != 0) peers_.loop_.Cancel(timer_);
    if (connection_ != nullptr) {
      connection_->Close(MakeStatus(StatusCode::kUnavailable, "this process is stopping"));
    }
  }

  void OnOpen(io::Connection& connection) override {
    dialing_ = false;
    connection_ = &connection;
    greeted_ = false;
    const std::uint64_t boot = connection.peer().boot_nonce;
    if (boot_nonce_ != 0 && boot != boot_nonce_) peers_.hooks_.gone(address_.id);
    boot_nonce_ = boot;
    if (connection.peer().node_id != address_.id.value()) {
      COPPICE_LOG(kError, "{}:{} is not the voter {} that --initial-cluster says: its id is {:x}",
                  address_.host, address_.port, address_.name, connection.peer().node_id);
      connection.Close(MakeStatus(StatusCode::kFailedPrecondition, "not the expected voter"));
    }
  }
  void OnFrame(io::Connection& /*connection*/, const io::Frame& frame) override {
    if (!peers_.hooks_.greeted(address_, frame)) return;
    greeted_ = true;
    backoff_ = kRedialMin;
  }
  void OnClosed(io::Connection& /*connection*/, const Status& reason) override {
    connection_ = nullptr;
    if (stopped_) return;
    was_connected_ = true;
    if (!greeted_) return OnFailure({reason, false});
    COPPICE_LOG(kInfo, "lost the connection to voter {}: {}", address_.name, MessageOf(reason));
    Dial();
  }

  void Send(const raft::Message& message) {
    if (connection_ == nullptr || connection_->unsent_bytes() > kUnsentMax) return;
    const std::string bytes = raft::EncodeMessage(message);
    io::Frame frame;
    frame.type = io::FrameType::kRaft;
    frame.payload = bytes;
    connection_->Send(frame);
  }
  bool connected() const { return connection_ != nullptr; }

 private:
  void OnFailure(const io::DialFailure& failure) {
    dialing_ = false;
    if (stopped_) return;
    if (failure.refused && was_connected_) {
      was_connected_ = false;
      peers_.hooks_.gone(address_.id);
    }
    if (!failure.refused && MessageOf(failure.status) != last_failure_) {
      last_failure_ = MessageOf(failure.status);
      COPPICE_LOG(kWarn, "cannot connect to voter {}: {}", address_.name, last_failure_);
    }
    const Micros wait = backoff_ + static_cast<Micros>(peers_.rng_.Below(kRedialMin));
    backoff_ = std::min(backoff_ * 2, kRedialMax);
    timer_ = peers_.loop_.RunAt(peers_.loop_.now() + wait, [this] { Dial(); });
  }

  Peers& peers_;
  const PeerAddress address_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  io::Connection* connection_ = nullptr;
  std::uint64_t boot_nonce_ = 0;
  bool dialing_ = false;
  bool greeted_ = false;  // the peer listens to this connection
  bool stopped_ = false;
  bool was_connected_ = false;
  std::string last_failure_;
  Micros backoff_ = kRedialMin;
  io::Loop::TimerId timer_ = 0;
};

class Peers::Incoming final : public io::ConnectionHandler {
 public:
  Incoming(Peers& peers, NodeId id) : peers_(peers), id_(id) {}

  void OnOpen(io::Connection& connection) override { peers_.hooks_.greet(connection); }
  void OnFrame(io::Connection& connection, const io::Frame& frame) override {
    raft::Message message;
    if (frame.type != io::FrameType::kRaft || !raft::DecodeMessage(frame.payload, message)) {
      COPPICE_LOG(kError, "voter {:x} sent a malformed Raft message", id_.value());
      return connection.Close(MakeStatus(StatusCode::kDataLoss, "malformed Raft message"));
    }
    peers_.hooks_.received(id_, std::move(message));
  }
  void OnClosed(io::Connection& /*connection*/, const Status& /*reason*/) override {}

 private:
  Peers& peers_;
  const NodeId id_;
};

Peers::Peers(io::Loop& loop, io::Transport& transport, std::vector<PeerAddress> peers, Hooks hooks,
             Rng rng)
    : loop_(loop), transport_(transport), hooks_(std::move(hooks)), rng_(rng) {
  for (PeerAddress& peer : peers) {
    const NodeId id = peer.id;
    incoming_.emplace(id, std::make_unique<Incoming>(*this, id));
    outgoing_.emplace(id, std::make_unique<Outgoing>(*this, std::move(peer)));
  }
}

Peers::~Peers() = default;

void Peers::Start() {
  for (auto& [id, peer] : outgoing_) peer->Dial();
}

void Peers::Stop() {
  for (auto& [id, peer] : outgoing_) peer->Stop();
}

void Peers::Send(NodeId to, const raft::Message& message) {
  if (const auto it = outgoing_.find(to); it != outgoing_.end()) it->second->Send(message);
}

io::ConnectionHandler* Peers::AcceptFrom(NodeId peer) {
  const auto it = incoming_.find(peer);
  return it == incoming_.end() ? nullptr : it->second.get();
}

bool Peers::Connected(NodeId peer) const {
  const auto it = outgoing_.find(peer);
  return it != outgoing_.end() && it->second->connected();
}

}  // namespace coppice::voter
