#pragma once

#include <utility>
// Boost.Asio 1.74 needs <utility> before it.
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/io/loop.h"

namespace coppice::rpc {

// The headers of a call that Coppice looks at; others are accepted and dropped.
// Views live as long as the call.
struct Metadata {
  std::string_view consistency;    // coppice-consistency
  std::string_view max_staleness;  // coppice-max-staleness
  std::string_view min_revision;   // coppice-min-revision
  std::string_view token;          // token, or authorization
  std::string_view
      unknown_coppice;      // the name of a coppice-* header that is not known; empty if none
  bool has_leader = false;  // hasleader: true
  bool any_coppice = false;
};

// Names a call for as long as its connection lives, and after: a late answer finds nothing.
struct CallId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator==(const CallId&) const = default;
};

class Call;

// What a method does. All methods run on the connection's loop.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void OnStart(Call& /*call*/) {}  // headers are here (streaming methods)
  // A whole message; the view lives until the method returns, for a unary call until OnDone.
  virtual void OnMessage(Call& call, std::string_view message) = 0;
  virtual void OnHalfClose(Call& /*call*/) {}  // the client sends no more (streaming methods)
  // Call::unsent_bytes() fell below Call::kLowWater after having been above it.
  virtual void OnDrained(Call& /*call*/) {}
  // The server drains (Server::Drain), and waits for this call: one that has no end of its own is
  // to be finished. Also right after OnStart, for a call that a client began before it knew.
  virtual void OnShutdown(Call& /*call*/) {}
  // The call is over: finished, canceled by the client, timed out, or its connection is gone. The
  // last use of `call`.
  virtual void OnDone(Call& /*call*/) {}
};

// A call in progress on the server. Owned by its connection. Thread: its loop.
class Call {
 public:
  static constexpr std::size_t kLowWater = 64U << 10;
  static constexpr std::size_t kHighWater = 256U << 10;

  virtual ~Call() = default;
  virtual CallId id() const = 0;
  virtual const Metadata& metadata() const = 0;
  virtual Time deadline() const = 0;  // kNever if the client gave none
  virtual int listener() const = 0;   // index of the address the client came in by (Server::Listen)

  // Queues one message: `pieces` are copied in order behind one length prefix.
  virtual void Write(std::span<const std::string_view> pieces) = 0;
  // A message in parts, for an answer whose length is known before its bytes: `total` bytes follow
  // by AppendPart, paced by unsent_bytes() and OnDrained.
  virtual void BeginParts(std::size_t total) = 0;
  virtual void AppendPart(std::string_view part) = 0;
  // Ends the call. `trailers` are names (lower case) and values. After an error nothing more is
  // sent than the status. OnDone follows, not from within.
  virtual void Finish(
      const Status& status,
      std::span<const std::pair<std::string_view, std::string_view>> trailers = {}) = 0;
  virtual std::size_t unsent_bytes() const = 0;

  void* context = nullptr;  // the handler's own; freed by it in OnDone
};

struct MethodSpec {
  std::string path;  // "/etcdserverpb.KV/Range"
  bool client_streams = false;
  bool server_streams = false;
  CallHandler* handler = nullptr;  // outlives the server; null: Unimplemented
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain";
  std::string body;
};
// GET of a plain HTTP/1.1 client on the same port (/version, /health, ...). `path` has no query.
using HttpHandler = std::function<HttpResponse(std::string_view path, std::string_view query)>;

// What a message may have beyond the largest write that is accepted, as etcd's grpcOverheadBytes.
constexpr std::size_t kMessageSlack = 512U << 10;

struct ServerOptions {
  std::size_t message_bytes_max = (3U << 19) + kMessageSlack;  // of etcd's default limit
  std::size_t header_list_bytes_max = 16U << 10;
  std::uint32_t streams_max = 1'000'000;  // per connection
  // Of unfinished messages on this loop; then REFUSED_STREAM. A call that takes them one message
  // further ends with ResourceExhausted.
  std::size_t memory_bytes_max = 1U << 30;
  std::uint64_t reset_burst = 20'000;
  std::uint64_t reset_per_second = 2'000;
  Micros keepalive_interval = 2 * 3600 * kSecond;  // of our PINGs to a silent client
  Micros keepalive_timeout = 20 * kSecond;
};

// gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) on one loop:
// each loop has its own Server; an Acceptor hands it sockets.
// Thread: the loop's.
class Server {
 public:
  Server(io::Loop& loop, const ServerOptions& options, std::vector<MethodSpec> methods,
         HttpHandler http);
  ~Server();

  // Takes a connected socket that came in by `listener`. The first bytes choose the protocol:
  // HTTP/2's preface, an HTTP/1.1 request line; a TLS ClientHello (0x16) is answered by closing
  // with a log line until TLS is built.
  void Adopt(boost::asio::ip::tcp::socket socket, int listener);
  Call* Find(CallId id);            // null if that call is over
  std::size_t connections() const;  // any thread
  std::size_t calls() const;
  // GOAWAY to every connection; `done` runs when the last call ended or `grace` passed.
  void Drain(Micros grace, std::function<void()> done);

 private:
  friend class Acceptor;
  // Counts a connection that is on its way here, so that the next one goes elsewhere. Any thread.
  void Expect();
  void AdoptExpected(boost::asio::ip::tcp::socket socket, int listener);

  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Listens and gives each socket to the loop with the fewest connections, for life.
class Acceptor {
 public:
  // `loop` is where accepting happens; `servers[i]` runs on `loops[i]`.
  Acceptor(io::Loop& loop, std::vector<std::pair<io::Loop*, Server*>> servers);
  ~Acceptor();
  // "127.0.0.1", 2379 -> the port bound (0 asks for a free one). An address in use, or one this
  // machine does not have: an error that names it.
  StatusOr<std::uint16_t> Listen(const std::string& host, std::uint16_t port, int listener);
  void Close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coppice::rpc
