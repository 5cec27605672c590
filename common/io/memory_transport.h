#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/io/transport.h"

namespace coppice::io {

// A network of processes in one thread, for tests and simulation: what is sent waits until somebody
// delivers it, in the order of each connection. The owner chooses which connection goes next, cuts
// connections and closes ports; nothing happens by itself, and nothing is random.
// Nobody pings, and nobody is given up for silence: that a connection is dead its ends hear from
// Cut. Frames go through the same packets and checksums as on a socket, Hellos are checked the same
// way. Thread: one.
class MemoryNetwork {
 public:
  MemoryNetwork();
  ~MemoryNetwork();
  MemoryNetwork(const MemoryNetwork&) = delete;
  MemoryNetwork& operator=(const MemoryNetwork&) = delete;

  // A process's end of the network. Destroying it closes its connections and its ports.
  std::unique_ptr<Transport> Join(const TransportOptions& options);
  // Opens a port of a process that joined.
  void Listen(Transport& transport, const std::string& host, std::uint16_t port, Accept accept);
  void CloseProcess(Transport& transport);  // as a crash: its peers see their connections close

  // What can happen next: ids of directions (connection and sender) that hold something.
  std::vector<std::uint64_t> Pending() const;
  // Delivers the next packet, Hello or close of one of Pending().
  void Deliver(std::uint64_t direction);
  // Delivers all there is, oldest direction first, until nothing is left; returns how many.
  std::size_t DeliverAll();
  // Drops everything in flight between the two ends of each connection that `matches` names, and
  // closes it: both ends hear of it.
  void Cut(const std::function<bool(const Hello& dialer, const Hello& acceptor)>& matches);

 private:
  class Process;
  class End;
  struct Port {
    Process* process = nullptr;
    Accept accept;
  };

  std::map<std::pair<std::string, std::uint16_t>, Port> ports_;
  std::map<std::uint64_t, std::unique_ptr<End>> ends_;  // by direction: what this end receives
  std::vector<Process*> processes_;
  std::deque<std::function<void()>> failures_;  // of dials, not told yet
  std::uint64_t last_id_ = 0;
};

}  // namespace coppice::io
