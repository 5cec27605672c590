#include "common/io/asio_transport.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <utility>

#include "common/base/log.h"
#include "common/io/listen.h"

namespace coppice::io {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr Micros kDialTimeout = 5 * kSecond;
constexpr Micros kHelloTimeout = 10 * kSecond;

}  // namespace

struct AsioTransport::Dialing {
  std::string host;
  std::uint16_t port = 0;
  ConnectionClass connection_class{};
  ConnectionHandler* handler = nullptr;
  OnFailure on_failure;
  tcp::resolver resolver;
  tcp::socket socket;
  Loop::TimerId timer = 0;
  bool over = false;

  explicit Dialing(boost::asio::io_context& context) : resolver(context), socket(context) {}

  void Fail(Loop& loop, const Status& status, bool refused) {
    if (over) return;
    over = true;
    loop.Cancel(timer);
    error_code ignored;
    socket.close(ignored);
    on_failure({status, refused});
  }
};

AsioTransport::AsioTransport(Loop& loop, TransportOptions options, Accept accept)
    : loop_(loop), options_(std::move(options)), accept_(std::move(accept)) {}

AsioTransport::~AsioTransport() = default;

std::shared_ptr<AsioConnection> AsioTransport::Make(tcp::socket socket,
                                                    AsioConnection::Events events) {
  auto connection =
      std::make_shared<AsioConnection>(loop_, std::move(socket), options_, std::move(events));
  connections_.emplace(connection->id(), connection);
  return connection;
}

void AsioTransport::Dial(const std::string& host, std::uint16_t port,
                         ConnectionClass connection_class, ConnectionHandler& handler,
                         OnFailure on_failure) {
  auto dialing = std::make_shared<Dialing>(loop_.context());
  dialing->host = host;
  dialing->port = port;
  dialing->connection_class = connection_class;
  dialing->handler = &handler;
  dialing->on_failure = std::move(on_failure);
  const auto fail = [this, dialing](const error_code& error) {
    dialing->Fail(
        loop_,
        MakeStatus(StatusCode::kUnavailable, fmt::format("cannot reach {}:{}: {}", dialing->host,
                                                         dialing->port, error.message())),
        error == boost::asio::error::connection_refused);
  };
  dialing->timer =
      loop_.RunAt(loop_.now() + kDialTimeout, [fail] { fail(boost::asio::error::timed_out); });
  dialing->resolver.async_resolve(
      host, std::to_string(port),
      [this, dialing, fail](const error_code& error, const tcp::resolver::results_type& results) {
        if (error) return fail(error);
        boost::asio::async_connect(
            dialing->socket, results,
            [this, dialing, fail](const error_code& error, const tcp::endpoint&) {
              if (error) return fail(error);
              Connected(dialing);
            });
      });
}

void AsioTransport::Connected(const std::shared_ptr<Dialing>& dialing) {
  if (dialing->over) return;
  AsioConnection::Events events;
  events.on_ready = [this, dialing](AsioConnection& connection) {
    dialing->over = true;
    loop_.Cancel(dialing->timer);
    connection.Start(*dialing->handler);
  };
  events.on_end = [this, dialing](AsioConnection& connection, const Status& reason, bool) {
    connections_.erase(connection.id());
    dialing->Fail(loop_, reason, false);
  };
  const auto connection = Make(std::move(dialing->socket), std::move(events));
  loop_.Cancel(dialing->timer);
  std::weak_ptr<AsioConnection> weak = connection;
  dialing->timer = loop_.RunAt(loop_.now() + kDialTimeout, [weak] {
    if (const auto late = weak.lock()) {
      late->Close(MakeStatus(StatusCode::kUnavailable, "the peer did not answer the Hello in 5 s"));
    }
  });
  connection->BeginAsDialer(dialing->connection_class);
}

void AsioTransport::Adopt(int fd, const Hello& peer, std::string unread) {
  tcp::socket socket(loop_.context());
  error_code error;
  socket.assign(tcp::v4(), fd, error);
  if (error) {
    ::close(fd);
    return;
  }
  ConnectionHandler* handler = accept_ ? accept_(peer) : nullptr;
  if (handler == nullptr) return;
  AsioConnection::Events events;
  events.on_end = [this](AsioConnection& connection, const Status&, bool) {
    connections_.erase(connection.id());
  };
  const auto connection = Make(std::move(socket), std::move(events));
  connection->BeginAdopted(peer, std::move(unread));
  connection->Start(*handler);
}

void AsioTransport::CloseAll(const Status& reason) {
  const auto connections = connections_;
  for (const auto& [id, connection] : connections) connection->Close(reason);
}

PeerListener::PeerListener(Loop& loop, TransportOptions options, Choose choose)
    : loop_(loop), options_(std::move(options)), choose_(std::move(choose)) {}

PeerListener::~PeerListener() {
  PeerListener::Close();
}

StatusOr<std::uint16_t> PeerListener::Listen(const std::string& host, std::uint16_t port) {
  COPPICE_ASSIGN_OR_RETURN(auto acceptor, ListenOn(loop_.context(), host, port));
  const std::uint16_t bound = acceptor->local_endpoint().port();
  acceptors_.push_back(std::move(acceptor));
  AcceptNext(acceptors_.size() - 1);
  return bound;
}

void PeerListener::Close() {
  for (auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->close(ignored);
  }
  const auto greeting = greeting_;
  for (const auto& [id, connection] : greeting) {
    connection->Close(MakeStatus(StatusCode::kUnavailable, "this process is stopping"));
  }
}

void PeerListener::AcceptNext(std::size_t index) {
  acceptors_[index]->async_accept([this, index](const error_code& error, tcp::socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors, most likely: leave the backlog for a moment instead of spinning on it.
      COPPICE_LOG(kError, "cannot accept a peer connection: {}", error.message());
      loop_.RunAt(loop_.now() + 100 * kMillisecond, [this, index] { AcceptNext(index); });
      return;
    }
    AsioConnection::Events events;
    events.on_ready = [this](AsioConnection& connection) { HandOver(connection); };
    events.on_end = [this](AsioConnection& connection, const Status&, bool) {
      greeting_.erase(connection.id());
    };
    auto connection =
        std::make_shared<AsioConnection>(loop_, std::move(socket), options_, std::move(events));
    greeting_.emplace(connection->id(), connection);
    std::weak_ptr<AsioConnection> weak = connection;
    loop_.RunAt(loop_.now() + kHelloTimeout, [weak] {
      if (const auto silent = weak.lock()) {
        silent->Close(MakeStatus(StatusCode::kUnavailable, "no Hello within 10 s"));
      }
    });
    connection->BeginAsAcceptor();
    AcceptNext(index);
  });
}

void PeerListener::HandOver(AsioConnection& connection) {
  auto* const target = static_cast<AsioTransport*>(choose_(connection.peer()));
  // Released outside of the connection's own reading.
  loop_.Post([this, target, self = connection.shared_from_this()] {
    greeting_.erase(self->id());
    if (target == nullptr) return self->Close(MakeStatus(StatusCode::kUnavailable, "refused"));
    auto [fd, unread] = self->Release();
    if (fd < 0) return;
    target->loop().Post([target, fd = fd, peer = self->peer(), unread = std::move(unread)] {
      target->Adopt(fd, peer, unread);
    });
  });
}

}  // namespace coppice::io
