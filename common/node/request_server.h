#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/api/node.h"
#include "common/io/loop.h"
#include "common/io/transport.h"

namespace coppice::node {

// Hears of the watch frames (80 to 85) of a request connection.
class WatchServer {
 public:
  virtual ~WatchServer() = default;
  virtual void OnWatchFrame(io::Connection& connection, const io::Frame& frame) = 0;
  virtual void OnWatchWritable(io::Connection& connection) = 0;
  virtual void OnWatchClosed(io::Connection& connection) = 0;
};

// The serving end of class kRequest connections on one io loop: unpacks forwarded requests for the
// node, and packs the answers. A reply larger than its stream's credit leaves in parts as credit
// comes (io::kStreamCreditBytes before the first). Outlives the connections and every replier.
// Thread: its loop's.
class RequestServer final : public io::ConnectionHandler {
 public:
  RequestServer(io::Loop& loop, api::Node& node, WatchServer* watches);
  ~RequestServer() override;

  void OnOpen(io::Connection& connection) override;
  void OnFrame(io::Connection& connection, const io::Frame& frame) override;
  void OnWritable(io::Connection& connection) override;
  void OnClosed(io::Connection& connection, const Status& reason) override;

  // Called for each new connection, to send it what it should know first.
  void SetGreeting(std::function<void(io::Connection&)> greet) { greet_ = std::move(greet); }
  // Hears of kRegistryRenew frames: a proxy's signs of life, on their way to the leader.
  void SetRenewals(std::function<void(std::string_view payload)> renewals) {
    renewals_ = std::move(renewals);
  }
  // Sends one frame to every connection (kNodeState, kRegistry).
  void Broadcast(io::FrameType type, std::string_view payload);
  std::size_t outstanding() const;                      // requests not answered in full yet
  std::uint64_t received() const { return received_; }  // requests since the start
  std::size_t connections() const { return peers_.size(); }
  // The connections are about to end with the loop: answers go nowhere from here on.
  void Forget();
  void CloseAll(const Status& reason);

 private:
  class StreamReplier;
  struct Sending;
  struct Peer;

  void HandleRequest(Peer& peer, const io::Frame& frame);
  void HandleCredit(Peer& peer, const io::Frame& frame);
  void Pump(Peer& peer, std::uint64_t key, Sending& sending);
  static bool SendPart(Peer& peer, Sending& sending);
  void PumpAll(Peer& peer);
  Peer* Find(std::uint64_t connection_id);

  io::Loop& loop_;
  api::Node& node_;
  WatchServer* watches_;
  std::function<void(io::Connection&)> greet_;
  std::function<void(std::string_view)> renewals_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Peer>> peers_;
  std::size_t outstanding_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace coppice::node
