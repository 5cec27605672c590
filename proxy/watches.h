#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/api/watch_edge.h"
#include "common/io/loop.h"
#include "common/rpc/server.h"
#include "proxy/proxy_node.h"
#include "proxy/watch_mux.h"

namespace coppice::proxy {

// The watches of one loop of a proxy: clients' streams over a mux, whose subscriptions run over the
// same connections as requests. What a watch's consistency asks for is asked by a read of its
// range, which checks the permission too. The cluster's id is in every response header, so streams
// are refused as Unavailable until a first backend has told it. Thread: its loop's. Outlives the
// server; the node outlives it.
class Watches final : public rpc::CallHandler,
                      public WatchEvents,
                      private WatchBackends,
                      public api::WatchAdmitter,
                      private io::TurnTask {
 public:
  struct Options {
    std::uint64_t member_id = 0;
    std::vector<Consistency> listener_defaults;
    std::size_t buffer_bytes = 0;  // for recent events of all subscriptions
  };
  Watches(io::Loop& loop, ProxyNode& node, Options options);
  ~Watches() override;

  // Backends or their states changed.
  void OnChange();
  std::size_t subscriptions() const { return mux_.subscriptions(); }
  std::size_t buffer_bytes() const { return mux_.ring_bytes(); }
  std::size_t watchers() const { return edge_ == nullptr ? 0 : edge_->watchers(); }

  // Clients.
  void OnStart(rpc::Call& call) override;
  void OnMessage(rpc::Call& call, std::string_view message) override;
  void OnHalfClose(rpc::Call& call) override;
  void OnDrained(rpc::Call& call) override;
  void OnShutdown(rpc::Call& call) override;
  void OnDone(rpc::Call& call) override;

  // Backends.
  void OnWatchFrame(std::uint64_t connection, const io::Frame& frame) override;
  void OnConnectionLost(std::uint64_t connection) override;
  void OnConnectionStale(std::uint64_t connection) override;
  void OnConnectionFresh(std::uint64_t connection) override;

 private:
  ConnectionId Choose(ConnectionId except) override;
  ConnectionId ChooseFresher(ConnectionId than) override;
  void Send(ConnectionId connection, const io::Frame& frame) override;
  void Admit(const mvcc::KeyRange& range, const Consistency& consistency, std::string_view token,
             Done done) override;
  bool HasLeader() const override;
  void OnTurn(Time now) override;
  ConnectionId ConnectionOf(std::optional<BackendId> backend) const;
  void Step();
  void ArmTimer();

  io::Loop& loop_;
  ProxyNode& node_;
  const Options options_;
  WatchMux mux_;
  std::uint64_t cluster_id_ = 0;
  std::unique_ptr<api::WatchEdge> edge_;  // once the cluster's id is known
  bool had_leader_ = false;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::proxy
