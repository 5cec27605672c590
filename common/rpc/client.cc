#include "common/rpc/client.h"

#include <utility>
// Boost.Asio 1.74 needs <utility> before it.
#include <boost/asio/ip/tcp.hpp>

#include "common/rpc/client_session.h"
#include "common/rpc/socket.h"

namespace coppice::rpc {
namespace {

using boost::asio::ip::tcp;

constexpr Micros kConnectWithin = 10 * kSecond;

}  // namespace

class ClientConnection::Impl final : public Socket::User, public ClientSession::Host {
 public:
  explicit Impl(io::Loop& loop) : session(loop, *this), loop_(loop) {}
  ~Impl() override {
    *alive_ = false;
    loop_.Cancel(timer_);
    if (socket_ != nullptr) socket_->Close();
  }

  void Connect(const std::string& host, std::uint16_t port,
               std::function<void(const Status&)> on_state) {
    on_state_ = std::move(on_state);
    name_ = host + ":" + std::to_string(port);
    session.SetAuthority(name_);
    connecting_ = std::make_unique<tcp::socket>(loop_.context());
    timer_ = loop_.RunAt(loop_.now() + kConnectWithin, [this] { ConnectFailed("timed out"); });
    boost::system::error_code not_numeric;
    const auto address = boost::asio::ip::make_address(host, not_numeric);
    if (!not_numeric) return ConnectTo(tcp::endpoint(address, port));
    resolver_ = std::make_unique<tcp::resolver>(loop_.context());
    resolver_->async_resolve(
        host, std::to_string(port),
        [this, alive = alive_](const boost::system::error_code& error, const auto& found) {
          if (!*alive || connecting_ == nullptr) return;
          if (error || found.empty()) return ConnectFailed(error.message());
          ConnectTo(found.begin()->endpoint());
        });
  }

  bool connected() const { return socket_ != nullptr && !session.going_away(); }

  bool OnBytes(std::string_view bytes) override { return session.Receive(bytes); }
  void Produce(std::string& out, std::size_t size_max) override { session.Produce(out, size_max); }
  bool Finished() override { return session.finished(); }
  void WakeFlush() override {
    if (socket_ != nullptr) socket_->WakeFlush();
  }
  void OnClosed(std::string_view reason) override {
    socket_.reset();
    const Status status = MakeStatus(StatusCode::kUnavailable,
                                     "connection to " + name_ + " lost: " + std::string(reason));
    const auto alive = alive_;
    session.FailAll(status);
    if (*alive) Report(status);
  }

  ClientSession session;

 private:
  void ConnectTo(const tcp::endpoint& endpoint) {
    connecting_->async_connect(
        endpoint, [this, alive = alive_](const boost::system::error_code& error) {
          if (!*alive || connecting_ == nullptr) return;
          if (error) return ConnectFailed(error.message());
          loop_.Cancel(timer_);
          socket_ = std::make_shared<Socket>(loop_, std::move(*connecting_), *this);
          connecting_.reset();
          socket_->Start();
          Report(OkStatus());
        });
  }

  void ConnectFailed(const std::string& cause) {
    loop_.Cancel(timer_);
    resolver_.reset();
    connecting_.reset();
    const Status status =
        MakeStatus(StatusCode::kUnavailable, "cannot connect to " + name_ + ": " + cause);
    const auto alive = alive_;
    session.FailAll(status);
    if (*alive) Report(status);
  }

  // The one who hears of it may delete the connection.
  void Report(const Status& status) {
    const auto report = on_state_;
    if (report) report(status);
  }

  io::Loop& loop_;
  std::function<void(const Status&)> on_state_;
  std::string name_;
  std::unique_ptr<tcp::resolver> resolver_;
  std::unique_ptr<tcp::socket> connecting_;
  std::shared_ptr<Socket> socket_;
  io::Loop::TimerId timer_ = 0;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

ClientConnection::ClientConnection(io::Loop& loop) : impl_(std::make_unique<Impl>(loop)) {}

ClientConnection::~ClientConnection() = default;

void ClientConnection::Connect(const std::string& host, std::uint16_t port,
                               std::function<void(const Status&)> on_state) {
  impl_->Connect(host, port, std::move(on_state));
}

bool ClientConnection::connected() const {
  return impl_->connected();
}

ClientConnection::Template ClientConnection::Prepare(std::string_view path,
                                                     std::span<const Header> metadata,
                                                     Micros timeout) {
  return impl_->session.Prepare(path, metadata, timeout);
}

void ClientConnection::Set(Template headers, std::string_view name, std::string_view value) {
  impl_->session.Set(headers, name, value);
}

ClientConnection::CallHandle ClientConnection::Unary(Template headers, std::string_view message,
                                                     std::uint64_t tag, Observer& observer) {
  return impl_->session.Start(headers, &message, tag, observer);
}

ClientConnection::CallHandle ClientConnection::Stream(Template headers, std::uint64_t tag,
                                                      Observer& observer) {
  return impl_->session.Start(headers, nullptr, tag, observer);
}

void ClientConnection::Send(CallHandle call, std::string_view message) {
  impl_->session.Send(call, message);
}

void ClientConnection::HalfClose(CallHandle call) {
  impl_->session.HalfClose(call);
}

void ClientConnection::Cancel(CallHandle call) {
  impl_->session.Cancel(call);
}

void ClientConnection::PauseReading(CallHandle call, bool paused) {
  impl_->session.PauseReading(call, paused);
}

}  // namespace coppice::rpc
