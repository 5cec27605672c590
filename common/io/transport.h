#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/io/frame.h"
#include "common/io/hello.h"

namespace coppice::io {

// One open connection to another process. What is sent in a turn leaves in one write at the turn's
// end. Pings are the transport's own: no handler hears of them, and none sends one. Thread: its
// loop's.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual const Hello& peer() const = 0;
  // Begins a frame and returns the buffer: append exactly `payload_size` bytes to it before the
  // next call of any method.
  virtual std::string& BeginFrame(const Frame& frame, std::size_t payload_size) = 0;
  void Send(const Frame& frame) { BeginFrame(frame, frame.payload.size()).append(frame.payload); }
  virtual std::size_t unsent_bytes() const = 0;
  // Sends what is queued as far as the socket takes it at once, then closes. OnClosed follows.
  virtual void Close(const Status& reason) = 0;
  virtual std::uint64_t id() const = 0;  // unique in the process
  // This machine's address on the connection's way; empty if unknown.
  virtual std::string local_host() const { return {}; }
};

// Who hears of a connection. Outlives it.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void OnOpen(Connection& connection) = 0;
  // The frame's views live until the method returns.
  virtual void OnFrame(Connection& connection, const Frame& frame) = 0;
  // unsent_bytes() fell below 256 KiB after having reached it.
  virtual void OnWritable(Connection& /*connection*/) {}
  // The last use of `connection`.
  virtual void OnClosed(Connection& connection, const Status& reason) = 0;
};

// How a dial ended when it did not end in OnOpen.
struct DialFailure {
  Status status;
  bool refused = false;  // the host is there and nobody listens: the process is gone
};

struct TransportOptions {
  Hello hello;              // connection_class, nonce and proof are filled in for each connection
  std::string peer_secret;  // empty: none
  // A ping leaves where nothing else did for so long; a peer that is silent five times as long is
  // given up. Over TCP, if both ends can (kFeaturePings).
  Micros liveness_tick = kSecond;
};

// Who takes an accepted connection; null refuses it.
using Accept = std::function<ConnectionHandler*(const Hello& peer)>;

// Connections between Coppice's processes. Asio's TCP, or memory under the simulator.
// Thread: its loop's.
class Transport {
 public:
  using OnFailure = std::function<void(const DialFailure&)>;
  virtual ~Transport() = default;
  // Either handler.OnOpen follows, or `on_failure`; never both, never from within.
  virtual void Dial(const std::string& host, std::uint16_t port, ConnectionClass connection_class,
                    ConnectionHandler& handler, OnFailure on_failure) = 0;
  // Learned after the start (a learner's first connection).
  virtual void SetClusterId(std::uint64_t cluster_id) = 0;
};

// A process's peer addresses: accepts, and gives each connection to one of the process's
// transports. Thread: its loop's.
class Listener {
 public:
  // Which transport takes a connection, by the dialer's Hello; null refuses it.
  using Choose = std::function<Transport*(const Hello& peer)>;
  virtual ~Listener() = default;
  // Returns the port bound; an address in use or not of this machine is an error that names it.
  virtual StatusOr<std::uint16_t> Listen(const std::string& host, std::uint16_t port) = 0;
  virtual void Close() = 0;
};

}  // namespace coppice::io
