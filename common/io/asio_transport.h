#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/io/asio_connection.h"
#include "common/io/loop.h"
#include "common/io/transport.h"

namespace coppice::io {

// A loop's connections with other processes over TCP.
class AsioTransport final : public Transport {
 public:
  AsioTransport(Loop& loop, TransportOptions options, Accept accept);
  ~AsioTransport() override;

  void Dial(const std::string& host, std::uint16_t port, ConnectionClass connection_class,
            ConnectionHandler& handler, OnFailure on_failure) override;
  void SetClusterId(std::uint64_t cluster_id) override { options_.hello.cluster_id = cluster_id; }
  // A connected socket whose Hellos were exchanged on another loop (PeerListener).
  void Adopt(int fd, const Hello& peer, std::string unread);
  void CloseAll(const Status& reason);
  Loop& loop() { return loop_; }

 private:
  struct Dialing;
  std::shared_ptr<AsioConnection> Make(boost::asio::ip::tcp::socket socket,
                                       AsioConnection::Events events);
  void Connected(const std::shared_ptr<Dialing>& dialing);

  Loop& loop_;
  TransportOptions options_;
  Accept accept_;
  std::unordered_map<std::uint64_t, std::shared_ptr<AsioConnection>> connections_;
};

// Accepts on the peer port, exchanges Hellos, then gives each socket to the transport that `choose`
// names by its Hello: Raft and tail to the core's loop, requests to the io loops in turn.
// Thread: its loop's.
class PeerListener final : public Listener {
 public:
  // Every transport that `choose` names is an AsioTransport.
  PeerListener(Loop& loop, TransportOptions options, Choose choose);
  ~PeerListener() override;
  StatusOr<std::uint16_t> Listen(const std::string& host, std::uint16_t port) override;
  void SetClusterId(std::uint64_t cluster_id) { options_.hello.cluster_id = cluster_id; }
  void Close() override;

 private:
  void AcceptNext(std::size_t index);
  void HandOver(AsioConnection& connection);

  Loop& loop_;
  TransportOptions options_;
  Choose choose_;
  std::vector<std::unique_ptr<boost::asio::ip::tcp::acceptor>> acceptors_;
  std::unordered_map<std::uint64_t, std::shared_ptr<AsioConnection>> greeting_;
};

}  // namespace coppice::io
