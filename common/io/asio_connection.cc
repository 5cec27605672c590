#include "common/io/asio_connection.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "common/base/check.h"
#include "common/base/log.h"

namespace coppice::io {
namespace {

using boost::system::error_code;

constexpr std::size_t kReadBytes = 256U << 10;    // at most per readiness, so that loops stay fair
constexpr std::size_t kPacketTarget = 64U << 10;  // a turn's frames beyond this start a new packet
constexpr std::size_t kFullBytes = 256U << 10;
constexpr std::size_t kHelloBytesMax = 1024;

std::atomic<std::uint64_t> g_last_id{0};

// A path on which packets are lost says nothing. After an outage TCP sends again only once its
// interval, which doubles each time, is over: about as late as the outage was long. A connection
// on which nothing was acknowledged for so long is given up, and a new one tried at once.
constexpr int kUnacknowledgedMaxMs = 5000;
constexpr int kIdleProbeSeconds = 2;

void SetOption(int socket, int level, int option, int value) {
  // Without the option a loss is noticed late, and nothing is wrong.
  (void)setsockopt(socket, level, option, &value, sizeof value);
}

void NoticeLoss(int socket) {
  SetOption(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledgedMaxMs);
  SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPIDLE, kIdleProbeSeconds);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
}

std::uint64_t RandomNonce() {
  std::uint64_t nonce = 0;
  COPPICE_CHECK(getrandom(&nonce, sizeof nonce, 0) == sizeof nonce);
  return nonce | 1;
}

}  // namespace

AsioConnection::AsioConnection(Loop& loop, Socket socket, const TransportOptions& options,
                               Events events)
    : loop_(loop),
      socket_(std::move(socket)),
      options_(options),
      events_(std::move(events)),
      id_(++g_last_id) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  NoticeLoss(socket_.native_handle());
}

AsioConnection::~AsioConnection() {
  loop_.Forget(*this);
}

void AsioConnection::BeginAsDialer(ConnectionClass connection_class) {
  SendHello(connection_class, {});
  AwaitRead();
}

void AsioConnection::BeginAsAcceptor() {
  acceptor_ = true;
  AwaitRead();
}

void AsioConnection::BeginAdopted(const Hello& peer, std::string unread) {
  peer_ = peer;
  acceptor_ = true;
  state_ = State::kReady;
  in_ = std::move(unread);
}

void AsioConnection::Start(ConnectionHandler& handler) {
  COPPICE_CHECK(state_ == State::kReady);
  state_ = State::kOpen;
  handler_ = &handler;
  if ((options_.hello.features & peer_.features & kFeaturePings) != 0) {
    liveness_.emplace(options_.liveness_tick, loop_.now());
    AwaitTick();
  }
  handler.OnOpen(*this);
  ParsePackets();
  AwaitRead();
}

std::pair<int, std::string> AsioConnection::Release() {
  if (state_ != State::kReady) return {-1, {}};  // it ended right behind its Hello
  state_ = State::kClosed;
  error_code ignored;
  Flush();
  const int fd = socket_.release(ignored);
  return {fd, in_.substr(parsed_)};
}

std::string AsioConnection::PeerName() const {
  error_code error;
  const auto endpoint = socket_.remote_endpoint(error);
  return error ? std::string("a peer")
               : fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
}

std::string AsioConnection::local_host() const {
  error_code error;
  const auto endpoint = socket_.local_endpoint(error);
  return error ? std::string() : endpoint.address().to_string();
}

void AsioConnection::SendHello(ConnectionClass connection_class, std::string proof) {
  Hello hello = options_.hello;
  if (nonce_ == 0) nonce_ = RandomNonce();
  hello.nonce = nonce_;
  hello.connection_class = connection_class;
  hello.proof = std::move(proof);
  std::string bytes;
  PutHello(bytes, hello);
  Frame frame;
  frame.payload = bytes;
  Send(frame);
}

std::string& AsioConnection::BeginFrame(const Frame& frame, std::size_t payload_size) {
  if (packet_ != std::string::npos) {
    const std::size_t open = out_.size() - packet_;
    if (open > kPacketTarget || open + kFrameHeaderSize + payload_size > kPacketBytesMax) {
      ClosePacket(out_, packet_);
      packet_ = std::string::npos;
    }
  }
  if (packet_ == std::string::npos) packet_ = OpenPacket(out_);
  PutFrameHeader(out_, frame, payload_size);
  if (liveness_) liveness_->Sent();
  loop_.Wake(*this, Loop::Phase::kFlush);
  return out_;
}

void AsioConnection::OnTurn(Time /*now*/) {
  Flush();
}

void AsioConnection::AwaitTick() {
  tick_timer_ = loop_.RunAt(loop_.now() + options_.liveness_tick, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Tick();
  });
}

void AsioConnection::Tick() {
  tick_timer_ = 0;
  const Liveness::Act act = liveness_->Tick(loop_.now());
  if (act == Liveness::Act::kGiveUp) {
    const double silent_s =
        static_cast<double>(Liveness::kSilentTicksMax * options_.liveness_tick) / kSecond;
    return FailWith(StatusCode::kUnavailable, fmt::format("has sent nothing for {:g} s", silent_s));
  }
  if (act == Liveness::Act::kPing && unsent_bytes() == 0) {
    Frame ping;
    ping.type = FrameType::kPing;
    Send(ping);
  }
  AwaitTick();
}

void AsioConnection::Flush() {
  if (!socket_.is_open() || awaiting_write_) return;
  if (packet_ != std::string::npos) {
    ClosePacket(out_, packet_);
    packet_ = std::string::npos;
  }
  // Before the socket takes it: a sender may have stopped at what one write empties.
  if (unsent_bytes() >= kFullBytes) was_full_ = true;
  while (sent_ < out_.size()) {
    const ssize_t n = ::send(socket_.native_handle(), out_.data() + sent_, out_.size() - sent_,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent_ += static_cast<std::size_t>(n);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      return End(MakeStatus(StatusCode::kUnavailable, std::strerror(errno)));
    }
    awaiting_write_ = true;
    socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code& error) {
      self->awaiting_write_ = false;
      if (!error) self->Flush();
    });
    break;
  }
  if (sent_ == out_.size()) {
    out_.clear();
    if (out_.capacity() > 2 * kFullBytes) out_.shrink_to_fit();
    sent_ = 0;
  } else if (sent_ > kFullBytes) {
    out_.erase(0, sent_);
    sent_ = 0;
  }
  if (was_full_ && unsent_bytes() < kFullBytes) {
    was_full_ = false;
    if (handler_ != nullptr && state_ == State::kOpen) handler_->OnWritable(*this);
  }
}

void AsioConnection::AwaitRead() {
  if (reading_ || state_ == State::kClosed || !socket_.is_open()) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->reading_ = false;
    if (!error) self->ReadSome();
  });
}

void AsioConnection::ReadSome() {
  if (state_ == State::kClosed) return;
  if (parsed_ == in_.size()) {
    in_.clear();
    parsed_ = 0;
  } else if (parsed_ > kReadBytes) {
    in_.erase(0, parsed_);
    parsed_ = 0;
  }
  std::size_t total = 0;
  while (total < kReadBytes) {
    const std::size_t old = in_.size();
    constexpr std::size_t kChunk = 64U << 10;
    in_.resize(old + kChunk);
    const ssize_t n = ::recv(socket_.native_handle(), in_.data() + old, kChunk, MSG_DONTWAIT);
    in_.resize(old + static_cast<std::size_t>(n > 0 ? n : 0));
    if (n > 0) {
      total += static_cast<std::size_t>(n);
      if (liveness_) liveness_->Received();
      if (static_cast<std::size_t>(n) < kChunk) break;
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    ParsePackets();
    if (state_ == State::kClosed) return;
    return Close(MakeStatus(StatusCode::kUnavailable,
                            n == 0 ? "the peer closed the connection" : std::strerror(errno)));
  }
  ParsePackets();
  AwaitRead();
}

void AsioConnection::ParsePackets() {
  const auto self = shared_from_this();
  while (state_ != State::kClosed && state_ != State::kReady) {
    const std::string_view data = std::string_view(in_).substr(parsed_);
    std::string_view frames;
    std::size_t size = 0;
    // By its announced length: a stranger's packet is not waited for.
    if (state_ != State::kOpen && PacketSize(data) > kHelloBytesMax) {
      return FailWith(StatusCode::kDataLoss, "sent something else than a Hello first");
    }
    switch (ReadPacket(data, frames, size)) {
      case PacketError::kShort:
        return;
      case PacketError::kTooLong:
        return FailWith(StatusCode::kDataLoss,
                        "sent a packet longer than 80 MiB, or does not speak this protocol");
      case PacketError::kBadChecksum:
        return FailWith(StatusCode::kDataLoss, "sent a packet with a bad checksum");
      case PacketError::kOk:
        break;
    }
    parsed_ += size;
    if (!HandleFrames(frames)) return;
  }
}

bool AsioConnection::HandleFrames(std::string_view frames) {
  while (!frames.empty()) {
    Frame frame;
    if (!ReadFrame(frames, frame)) {
      FailWith(StatusCode::kDataLoss, "sent a frame that ends outside its packet");
      return false;
    }
    if (state_ == State::kOpen) {
      if (frame.type == FrameType::kPing) continue;
      handler_->OnFrame(*this, frame);
    } else if (state_ == State::kAwaitHello || state_ == State::kAwaitProof) {
      HandleHello(frame);
    } else {
      FailWith(StatusCode::kDataLoss, "sent frames behind its Hello in one packet");
    }
    if (state_ == State::kClosed) return false;
  }
  return true;
}

void AsioConnection::HandleHello(const Frame& frame) {
  Hello hello;
  if (frame.type != FrameType::kHello || !ReadHello(frame.payload, hello)) {
    return FailWith(StatusCode::kDataLoss, "did not begin with a Hello: not a Coppice peer port?");
  }
  if (const std::string refusal = RefusalOf(options_.hello, hello); !refusal.empty()) {
    return FailWith(StatusCode::kFailedPrecondition, refusal);
  }
  acceptor_ ? AcceptorGotHello(hello) : DialerGotHello(hello);
}

void AsioConnection::AcceptorGotHello(const Hello& hello) {
  if (state_ == State::kAwaitHello) {
    peer_ = hello;
    if (nonce_ == 0) nonce_ = RandomNonce();
    SendHello(hello.connection_class, MakeProof(options_.peer_secret, true, hello.nonce, nonce_));
    if (!options_.peer_secret.empty()) {
      state_ = State::kAwaitProof;
      return;
    }
    return BecomeReady();
  }
  if (hello.proof != MakeProof(options_.peer_secret, false, peer_.nonce, nonce_)) {
    return FailWith(StatusCode::kPermissionDenied,
                    "does not know the peer secret (--peer-secret-file)");
  }
  BecomeReady();
}

void AsioConnection::DialerGotHello(const Hello& hello) {
  peer_ = hello;
  if (options_.peer_secret.empty() && !hello.proof.empty()) {
    return FailWith(StatusCode::kPermissionDenied,
                    "asks for the peer secret, and this process has none (--peer-secret-file)");
  }
  if (!options_.peer_secret.empty()) {
    if (hello.proof != MakeProof(options_.peer_secret, true, nonce_, hello.nonce)) {
      return FailWith(StatusCode::kPermissionDenied,
                      "does not know the peer secret (--peer-secret-file)");
    }
    SendHello(hello.connection_class, MakeProof(options_.peer_secret, false, nonce_, hello.nonce));
    // Alone in its packet: the acceptor may hand the socket to another loop behind it.
    Flush();
  }
  BecomeReady();
}

void AsioConnection::BecomeReady() {
  state_ = State::kReady;
  if (events_.on_ready) events_.on_ready(*this);
}

void AsioConnection::FailWith(StatusCode code, const std::string& why) {
  COPPICE_LOG(kWarn, "closing the connection with {}: it {}", PeerName(), why);
  Close(MakeStatus(code, why));
}

void AsioConnection::Close(const Status& reason) {
  if (state_ == State::kClosed) return;
  Flush();
  End(reason);
}

// Without a last flush: where that is what failed, another would fail the same way for ever.
void AsioConnection::End(const Status& reason) {
  if (state_ == State::kClosed) return;
  const bool was_open = state_ == State::kOpen;
  state_ = State::kClosed;
  if (tick_timer_ != 0) loop_.Cancel(tick_timer_);
  error_code ignored;
  socket_.close(ignored);
  loop_.Post([self = shared_from_this(), reason, was_open] {
    if (self->events_.on_end) self->events_.on_end(*self, reason, was_open);
    if (was_open) self->handler_->OnClosed(*self, reason);
  });
}

}  // namespace coppice::io
