#include "common/rpc/connection.h"

#include "common/base/log.h"

namespace coppice::rpc {
namespace {

constexpr std::string_view kHttp2Start = "PRI";  // of the preface; no HTTP/1.1 method begins so
constexpr char kTlsHandshake = 0x16;
constexpr Micros kFirstBytesWithin = 20 * kSecond;
constexpr Micros kHttp1Idle = 120 * kSecond;

}  // namespace

ServerConnection::ServerConnection(ServerCore& core, Owner& owner,
                                   boost::asio::ip::tcp::socket socket, int listener)
    : core_(core),
      owner_(owner),
      listener_(listener),
      socket_(std::make_shared<Socket>(core.loop, std::move(socket), *this)),
      last_received_(core.loop.now()) {}

ServerConnection::~ServerConnection() {
  session_.reset();
  socket_->Leave();
}

bool ServerConnection::OnBytes(std::string_view bytes) {
  last_received_ = core_.loop.wake_time();
  if (session_ != nullptr) return session_->Receive(bytes);
  if (http1_ == nullptr) {
    first_bytes_.append(bytes);
    if (!ChooseProtocol()) return false;
    bytes = first_bytes_;
  }
  bool more = true;
  if (session_ != nullptr) more = session_->Receive(bytes);
  if (http1_ != nullptr) {
    more = http1_->Receive(bytes, http1_out_) && !draining_;
    socket_->WakeFlush();
  }
  if (session_ != nullptr || http1_ != nullptr) first_bytes_ = std::string();
  return more;
}

// Returns false if it is none that is spoken here.
bool ServerConnection::ChooseProtocol() {
  if (first_bytes_.front() == kTlsHandshake) {
    COPPICE_LOG(kWarn, "rpc: a client speaks TLS to an address without it; connection closed");
    return false;
  }
  const std::size_t known = std::min(first_bytes_.size(), kHttp2Start.size());
  if (std::string_view(first_bytes_).substr(0, known) != kHttp2Start.substr(0, known)) {
    http1_ = std::make_unique<Http1Session>(core_.http);
  } else if (known == kHttp2Start.size()) {
    session_ = std::make_unique<ServerSession>(core_, *this, listener_);
    if (draining_) session_->Drain();
  }
  return true;
}

void ServerConnection::Produce(std::string& out, std::size_t size_max) {
  if (session_ != nullptr) return session_->Produce(out, size_max);
  out.append(http1_out_);
  http1_out_.clear();
}

bool ServerConnection::Finished() {
  return session_ != nullptr ? session_->finished() : draining_ && http1_out_.empty();
}

void ServerConnection::OnClosed(std::string_view /*reason*/) {
  owner_.OnGone(*this);
}

void ServerConnection::Drain() {
  draining_ = true;
  if (session_ != nullptr) session_->Drain();
  socket_->WakeFlush();
}

void ServerConnection::Tick(Time now) {
  bool alive = true;
  if (session_ != nullptr) {
    alive = session_->Tick(now);
  } else {
    alive = now - last_received_ < (http1_ != nullptr ? kHttp1Idle : kFirstBytesWithin);
  }
  if (!alive) owner_.OnGone(*this);
}

}  // namespace coppice::rpc
