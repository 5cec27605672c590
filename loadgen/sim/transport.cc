#include "loadgen/sim/transport.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"
#include "common/replica/replica_wire.h"

namespace coppice::sim {
namespace {

constexpr std::size_t kPacketTarget = 64U << 10;  // as on a socket
constexpr std::size_t kFullBytes = 256U << 10;
constexpr Micros kDialTimeout = 5 * kSecond;
constexpr Micros kHelloTimeout = 10 * kSecond;

// What the table of coverage says of frames between processes.
void CountFrame(Coverage& coverage, const io::Frame& frame) {
  using Type = io::FrameType;
  switch (frame.type) {
    case Type::kTailSubscribe:
      return coverage.Add("tail-subscriptions");
    case Type::kTailBehind:
      return coverage.Add("tail-behind");
    case Type::kTailRefused:
      return coverage.Add("tail-refused");
    case Type::kReadIndex:
      return coverage.Add("read-rounds");
    case Type::kReadIndexReply: {
      replica::ReadIndexReply reply;
      if (replica::DecodeReadIndexReply(frame.payload, reply) && !reply.ok) {
        coverage.Add("read-rounds-refused");
      }
      return;
    }
    case Type::kRequest:
      return coverage.Add("requests-forwarded");
    case Type::kReply:
      if ((frame.flags & io::kFlagError) != 0 && frame.payload.size() > 1 &&
          frame.payload[1] != 0) {
        coverage.Add("requests-not-proposed");
      }
      return;
    case Type::kWatchCreate:
      return coverage.Add("watches-shared");
    case Type::kWatchCanceled:
      return coverage.Add("watches-upstream-canceled");
    case Type::kRegistry:
      return coverage.Add("registry-changes");
    default:
      return;
  }
}

}  // namespace

// One end of a connection. First a Hello in each direction, then frames. Held by its transport or
// listener until its end was told.
class SimConnection final : public io::Connection,
                            private io::TurnTask,
                            private SocketHandler,
                            public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(LoopSlot& slot, const io::TransportOptions& options)
      : slot_(&slot), options_(options) {}
  ~SimConnection() override {
    if (slot_->alive()) slot_->loop().Forget(*this);
    if (state_ != State::kClosed) network().Close(flow_, *this, Depart());
    if (timer_ != 0 && slot_->alive()) slot_->loop().Cancel(timer_);
  }

  // Either on_ready, or on_end.
  std::function<void()> on_ready;
  std::function<void(const Status&, bool refused)> on_end;

  void Dial(HostId to, std::uint16_t port, io::ConnectionClass connection_class) {
    class_ = connection_class;
    flow_ = network().Dial(process().host_id(), to, port, *this, /*pings=*/true);
    StartTimer(kDialTimeout, "Connection timed out");
  }
  SocketHandler* Accept(std::uint64_t flow) {
    acceptor_ = true;
    flow_ = flow;
    StartTimer(kHelloTimeout, "no Hello within 10 s");
    return this;
  }
  // The Hellos are exchanged: frames go to `handler` from now on.
  void Start(io::ConnectionHandler& handler) {
    StopTimer();
    state_ = State::kOpen;
    handler_ = &handler;
    handler.OnOpen(*this);
    for (std::string& packet : std::exchange(early_, {})) HandlePacket(packet);
  }
  bool closed() const { return state_ == State::kClosed; }
  void MoveTo(LoopSlot& slot) {
    StopTimer();
    slot_->loop().Forget(*this);
    slot_ = &slot;
  }
  // Without a word to anyone, as its owner goes.
  void Drop() {
    on_ready = nullptr;
    on_end = nullptr;
    handler_ = nullptr;
  }

  const io::Hello& peer() const override { return peer_; }
  std::string& BeginFrame(const io::Frame& frame, std::size_t payload_size) override {
    if (packet_open_ && out_.size() > kPacketTarget) SendPacket();
    if (!packet_open_) {
      packet_open_ = true;
      io::OpenPacket(out_);
    }
    io::PutFrameHeader(out_, frame, payload_size);
    slot_->loop().Wake(*this, io::Loop::Phase::kFlush);
    return out_;
  }
  std::size_t unsent_bytes() const override {
    return out_.size() + const_cast<SimConnection*>(this)->network().unsent_bytes(flow_, *this);
  }
  void Close(const Status& reason) override {
    if (state_ == State::kClosed) return;
    SendPacket();
    network().Close(flow_, *this, Depart());
    End(reason, false);
  }
  std::uint64_t id() const override { return flow_ * 2 + (acceptor_ ? 1 : 0); }
  std::string local_host() const override { return slot_->process().name(); }

 private:
  enum class State { kConnecting, kAwaitHello, kReady, kOpen, kClosed };

  Process& process() { return slot_->process(); }
  Network& network() { return process().fabric().network; }
  Time Depart() { return process().Depart(); }

  void OnTurn(Time /*now*/) override {
    SendPacket();
    if (unsent_bytes() > kFullBytes) was_full_ = true;
  }
  void SendPacket() {
    if (!std::exchange(packet_open_, false)) return;
    io::ClosePacket(out_, 0);
    std::string packet = std::exchange(out_, {});
    if (process().dead()) return;
    TellOfRaft(packet);
    network().Send(flow_, *this, std::move(packet), Depart());
  }
  void TellOfRaft(std::string_view packet) {
    const Fabric& fabric = process().fabric();
    if (state_ != State::kOpen || class_ != io::ConnectionClass::kRaft || !fabric.raft_sent) return;
    std::string_view frames;
    std::size_t size = 0;
    COPPICE_CHECK(io::ReadPacket(packet, frames, size) == io::PacketError::kOk);
    io::Frame frame;
    while (!frames.empty() && io::ReadFrame(frames, frame)) {
      if (frame.type != io::FrameType::kRaft) continue;
      fabric.raft_sent(process().name(), NodeId(peer_.node_id), frame.payload);
    }
  }

  // --- SocketHandler: at the time of arrival, outside of turns.
  void Post(void (SimConnection::*handle)()) {
    slot_->Deliver([self = shared_from_this(), handle] { ((*self).*handle)(); });
  }
  void OnConnected() override { Post(&SimConnection::Connected); }
  void OnRefused() override { Post(&SimConnection::Refused); }
  void OnClosed() override { Post(&SimConnection::PeerClosed); }
  void OnTaken() override {
    if (was_full_) Post(&SimConnection::Taken);
  }
  void OnBytes(std::string bytes) override {
    slot_->Deliver([self = shared_from_this(), bytes = std::move(bytes)]() mutable {
      self->Received(std::move(bytes));
    });
  }

  // --- In a turn.
  void Connected() {
    if (state_ != State::kConnecting) return;
    state_ = State::kAwaitHello;
    SendHello();
  }
  void Refused() {
    End(MakeStatus(StatusCode::kUnavailable, "Connection refused"), /*refused=*/true);
  }
  void PeerClosed() {
    End(MakeStatus(StatusCode::kUnavailable, "the peer closed the connection"), false);
  }
  void Taken() {
    if (!was_full_ || unsent_bytes() > kFullBytes || state_ != State::kOpen) return;
    was_full_ = false;
    handler_->OnWritable(*this);
  }
  void Received(std::string bytes) {
    if (state_ == State::kConnecting) state_ = State::kAwaitHello;  // the acceptor's side
    if (state_ == State::kReady) return early_.push_back(std::move(bytes));
    HandlePacket(bytes);
  }
  void HandlePacket(std::string_view packet) {
    std::string_view frames;
    std::size_t size = 0;
    COPPICE_CHECK(io::ReadPacket(packet, frames, size) == io::PacketError::kOk);
    const auto self = shared_from_this();
    while (!frames.empty() && state_ != State::kClosed) {
      io::Frame frame;
      COPPICE_CHECK(io::ReadFrame(frames, frame));
      if (state_ == State::kOpen) {
        CountFrame(process().fabric().coverage, frame);
        if (process().fabric().trace.text != nullptr) WriteFrame(frame);
        handler_->OnFrame(*this, frame);
      } else {
        HandleHello(frame);
      }
    }
  }
  void WriteFrame(const io::Frame& frame) {
    const Fabric& fabric = process().fabric();
    fmt::print(fabric.trace.text, "{:.6f} {} frame #{} type {} slot {:x} {} bytes\n",
               static_cast<double>(fabric.scheduler.now()) / kSecond, process().name(), flow_,
               static_cast<int>(frame.type), frame.stream.slot, frame.payload.size());
  }
  void HandleHello(const io::Frame& frame) {
    COPPICE_CHECK(frame.type == io::FrameType::kHello && io::ReadHello(frame.payload, peer_));
    if (const std::string refusal = io::RefusalOf(options_.hello, peer_); !refusal.empty()) {
      return Close(MakeStatus(StatusCode::kFailedPrecondition, refusal));
    }
    if (acceptor_) {
      class_ = peer_.connection_class;
      SendHello();
      SendPacket();  // alone: another loop may take over behind it
    }
    state_ = State::kReady;
    if (on_ready) on_ready();
  }
  void SendHello() {
    io::Hello hello = options_.hello;
    hello.connection_class = class_;
    std::string bytes;
    io::PutHello(bytes, hello);
    io::Frame frame;
    frame.payload = bytes;
    Send(frame);
  }
  void End(const Status& reason, bool refused) {
    if (state_ == State::kClosed) return;
    const bool was_open = state_ == State::kOpen;
    state_ = State::kClosed;
    StopTimer();
    slot_->loop().Post([self = shared_from_this(), reason, refused, was_open] {
      if (self->on_end) self->on_end(reason, refused);
      if (was_open && self->handler_ != nullptr) self->handler_->OnClosed(*self, reason);
      self->Drop();
    });
  }
  void StartTimer(Micros after, const char* why) {
    io::Loop& loop = slot_->loop();
    timer_ = loop.RunAt(loop.now() + after, [this, why] {
      timer_ = 0;
      Close(MakeStatus(StatusCode::kUnavailable, why));
    });
  }
  void StopTimer() {
    if (timer_ != 0) slot_->loop().Cancel(std::exchange(timer_, 0));
  }

  LoopSlot* slot_;
  const io::TransportOptions& options_;
  io::ConnectionHandler* handler_ = nullptr;
  State state_ = State::kConnecting;
  io::ConnectionClass class_ = io::ConnectionClass::kRequest;
  std::uint64_t flow_ = 0;
  bool acceptor_ = false;
  bool packet_open_ = false;
  bool was_full_ = false;
  io::Hello peer_;
  std::string out_;
  std::vector<std::string> early_;  // behind the Hello
  io::Loop::TimerId timer_ = 0;
};

// --- SimTransport

SimTransport::SimTransport(LoopSlot& slot, io::TransportOptions options, io::Accept accept)
    : slot_(slot), options_(std::move(options)), accept_(std::move(accept)) {}

SimTransport::~SimTransport() {
  for (const auto& [id, connection] : connections_) connection->Drop();
}

void SimTransport::Dial(const std::string& host, std::uint16_t port,
                        io::ConnectionClass connection_class, io::ConnectionHandler& handler,
                        OnFailure on_failure) {
  Fabric& fabric = slot_.process().fabric();
  const auto name = fabric.names.find(host);
  COPPICE_CHECK(name != fabric.names.end(), "a known host");
  auto connection = std::make_shared<SimConnection>(slot_, options_);
  SimConnection* const raw = connection.get();
  raw->Dial(name->second, port, connection_class);
  connections_.emplace(raw->id(), connection);
  const auto opened = std::make_shared<bool>(false);
  raw->on_ready = [raw, &handler, opened] {
    *opened = true;
    raw->Start(handler);
  };
  raw->on_end = [this, id = raw->id(), opened, host, port, on_failure = std::move(on_failure)](
                    const Status& reason, bool refused) {
    connections_.erase(id);
    if (*opened) return;
    on_failure({MakeStatus(StatusCode::kUnavailable,
                           fmt::format("cannot reach {}:{}: {}", host, port, MessageOf(reason))),
                refused});
  };
}

void SimTransport::Adopt(const std::shared_ptr<SimConnection>& connection) {
  if (connection->closed()) return;
  io::ConnectionHandler* const handler = accept_ ? accept_(connection->peer()) : nullptr;
  connections_.emplace(connection->id(), connection);
  connection->on_end = [this, id = connection->id()](const Status&, bool) {
    connections_.erase(id);
  };
  if (handler == nullptr) {
    return connection->Close(MakeStatus(StatusCode::kUnavailable, "refused"));
  }
  connection->Start(*handler);
}

// --- SimListener

SimListener::SimListener(LoopSlot& slot, io::TransportOptions options, Choose choose)
    : slot_(slot), options_(std::move(options)), choose_(std::move(choose)) {}

SimListener::~SimListener() {
  for (const auto& [id, connection] : greeting_) connection->Drop();
}

StatusOr<std::uint16_t> SimListener::Listen(const std::string& /*host*/, std::uint16_t port) {
  Process& process = slot_.process();
  process.fabric().network.Listen(
      process.host_id(), port, [this](std::uint64_t flow) -> SocketHandler* {
        if (closed_) return nullptr;
        auto connection = std::make_shared<SimConnection>(slot_, options_);
        greeting_.emplace(flow, connection);
        connection->on_ready = [this, raw = connection.get()] {
          HandOver(raw->shared_from_this());
        };
        connection->on_end = [this, flow](const Status&, bool) { greeting_.erase(flow); };
        return connection->Accept(flow);
      });
  return port;
}

void SimListener::Close() {
  closed_ = true;
  const auto greeting = greeting_;
  for (const auto& [id, connection] : greeting) {
    connection->Close(MakeStatus(StatusCode::kUnavailable, "this process is stopping"));
  }
}

void SimListener::HandOver(const std::shared_ptr<SimConnection>& connection) {
  auto* const target = static_cast<SimTransport*>(choose_(connection->peer()));
  slot_.loop().Post([this, target, connection] {
    const std::uint64_t flow = connection->id() / 2;
    if (greeting_.erase(flow) == 0) return;  // it ended meanwhile
    if (target == nullptr) {
      return connection->Close(MakeStatus(StatusCode::kUnavailable, "refused"));
    }
    connection->on_ready = nullptr;
    connection->on_end = nullptr;
    connection->MoveTo(target->slot());
    target->slot().loop().Post([target, connection] { target->Adopt(connection); });
  });
}

}  // namespace coppice::sim
