#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/io/listen.h"
#include "common/rpc/server.h"

namespace coppice::rpc {
namespace {

using boost::asio::ip::tcp;

constexpr int kAcceptsPerTurnMax = 64;
constexpr Micros kRetryAfter = 100 * kMillisecond;

}  // namespace

class Acceptor::Impl {
 public:
  Impl(io::Loop& loop, std::vector<std::pair<io::Loop*, Server*>> servers)
      : loop_(loop), servers_(std::move(servers)) {
    COPPICE_CHECK(!servers_.empty());
  }
  ~Impl() { Close(); }

  StatusOr<std::uint16_t> Listen(const std::string& host, std::uint16_t port, int listener) {
    COPPICE_ASSIGN_OR_RETURN(auto listening, io::ListenOn(loop_.context(), host, port));
    const Listening socket = std::move(listening);
    boost::system::error_code error;
    socket->non_blocking(true, error);
    const std::uint16_t bound = socket->local_endpoint(error).port();
    listening_.push_back(socket);
    Wait(socket, listener);
    return bound;
  }

  void Close() {
    *open_ = false;
    for (const auto& socket : listening_) {
      boost::system::error_code ignored;
      socket->close(ignored);
    }
    listening_.clear();
  }

 private:
  using Listening = std::shared_ptr<tcp::acceptor>;

  void Wait(const Listening& socket, int listener) {
    socket->async_wait(tcp::acceptor::wait_read, [this, open = open_, socket, listener](
                                                     const boost::system::error_code& error) {
      if (!*open || error) return;
      AcceptSome(socket, listener);
    });
  }

  void AcceptSome(const Listening& socket, int listener) {
    boost::system::error_code closed;
    const tcp protocol = socket->local_endpoint(closed).protocol();
    if (closed) return;
    for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
      const int fd =
          ::accept4(socket->native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        Assign(fd, protocol, listener);
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // The socket stays readable: waiting for it would spin until a descriptor is free.
        COPPICE_LOG(kWarn, "rpc: cannot accept: {}; again in 100 ms", std::strerror(errno));
        loop_.RunAt(loop_.now() + kRetryAfter, [this, open = open_, socket, listener] {
          if (*open) AcceptSome(socket, listener);
        });
        return;
      }
    }
    Wait(socket, listener);
  }

  void Assign(int fd, const tcp& protocol, int listener) {
    const auto least =
        std::min_element(servers_.begin(), servers_.end(), [](const auto& a, const auto& b) {
          return a.second->connections() < b.second->connections();
        });
    auto [loop, server] = *least;
    server->Expect();
    const auto adopt = [loop = loop, server = server, fd, protocol, listener] {
      tcp::socket socket(loop->context());
      boost::system::error_code error;
      socket.assign(protocol, fd, error);
      if (error) ::close(fd);
      server->AdoptExpected(std::move(socket), listener);
    };
    if (loop == &loop_) {
      adopt();
    } else {
      loop->Post(adopt);
    }
  }

  io::Loop& loop_;
  const std::vector<std::pair<io::Loop*, Server*>> servers_;
  std::vector<Listening> listening_;
  const std::shared_ptr<bool> open_ = std::make_shared<bool>(true);
};

Acceptor::Acceptor(io::Loop& loop, std::vector<std::pair<io::Loop*, Server*>> servers)
    : impl_(std::make_unique<Impl>(loop, std::move(servers))) {}

Acceptor::~Acceptor() = default;

StatusOr<std::uint16_t> Acceptor::Listen(const std::string& host, std::uint16_t port,
                                         int listener) {
  return impl_->Listen(host, port, listener);
}

void Acceptor::Close() {
  impl_->Close();
}

}  // namespace coppice::rpc
