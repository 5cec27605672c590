#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "common/io/transport.h"
#include "loadgen/sim/process.h"

namespace coppice::sim {

class SimConnection;

// A loop's connections with other processes over the simulated network: the same packets,
// checksums and Hellos as on a socket (common/io/asio_connection.h). Thread: its loop's.
class SimTransport final : public io::Transport {
 public:
  SimTransport(LoopSlot& slot, io::TransportOptions options, io::Accept accept);
  ~SimTransport() override;

  void Dial(const std::string& host, std::uint16_t port, io::ConnectionClass connection_class,
            io::ConnectionHandler& handler, OnFailure on_failure) override;
  void SetClusterId(std::uint64_t cluster_id) override { options_.hello.cluster_id = cluster_id; }

  LoopSlot& slot() { return slot_; }

 private:
  friend class SimConnection;
  friend class SimListener;
  void Adopt(const std::shared_ptr<SimConnection>& connection);

  LoopSlot& slot_;
  io::TransportOptions options_;
  const io::Accept accept_;
  std::map<std::uint64_t, std::shared_ptr<SimConnection>> connections_;
};

// Accepts on a peer port, hears the Hello, and gives the connection to the transport it is for.
class SimListener final : public io::Listener {
 public:
  SimListener(LoopSlot& slot, io::TransportOptions options, Choose choose);
  ~SimListener() override;
  StatusOr<std::uint16_t> Listen(const std::string& host, std::uint16_t port) override;
  void Close() override;

 private:
  friend class SimConnection;
  void HandOver(const std::shared_ptr<SimConnection>& connection);

  LoopSlot& slot_;
  const io::TransportOptions options_;
  const Choose choose_;
  bool closed_ = false;
  std::map<std::uint64_t, std::shared_ptr<SimConnection>> greeting_;
};

}  // namespace coppice::sim
