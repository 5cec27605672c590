#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/api/edge.h"
#include "common/api/edge_metrics.h"
#include "common/api/health.h"
#include "common/api/limits.h"
#include "common/base/metrics.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/mvcc/store.h"
#include "common/node/host.h"
#include "common/node/io_node.h"
#include "common/node/leader_forwarder.h"
#include "common/node/ports.h"
#include "common/node/request_server.h"
#include "common/node/tuning.h"
#include "common/node/watch_services.h"
#include "common/rpc/server.h"

namespace coppice::node {

// What all io loops of a store-holding process are made from.
struct IoSettings {
  Host* host = nullptr;
  std::uint64_t cluster_id = 0;
  io::TransportOptions transport;
  api::Limits limits;
  std::vector<Consistency> listener_defaults;
  rpc::HttpHandler http;
  Tuning tuning;
};

// Of the view that this loop answers from, and of what proxies and other nodes asked of it, as of
// its last tick, or change of facts. The loop writes, any thread reads.
struct ViewFigures {
  std::atomic<std::uint64_t> applied{0};
  std::atomic<std::int64_t> revision{0};
  std::atomic<Time> fresh_as_of{0};  // 0: no read round was completed yet
  std::atomic<std::uint64_t> received{0};
};

// One io loop of a voter or learner: its clients' gRPC methods, its internal request connections,
// the node that answers both, its watches, and its way to the leader.
// Thread: its loop's (constructed before it runs).
class IoServices final : public IoPort {
 public:
  IoServices(io::Loop& loop, int index, const IoSettings& settings, mvcc::Store& store,
             CorePort& core, metrics::Registry& metrics);
  ~IoServices() override;

  // Every gRPC method there is; their handlers live as long as this.
  const std::vector<rpc::MethodSpec>& methods() const { return methods_; }
  // Serves clients' connections (gRPC and HTTP) that an Acceptor brings. Called once, or never.
  rpc::Server& OpenServer();
  void Start();
  // Ends the clients' connections in order (GOAWAY), then waits for what proxies and other nodes
  // were told to take elsewhere; `done` comes after `grace` and a moment at the latest.
  void Drain(Micros grace, std::function<void()> done);
  io::Loop& loop() { return loop_; }
  io::Transport& transport() { return *transport_; }
  IoNode& node() { return node_; }
  LeaderForwarder& forwarder() { return forwarder_; }
  const ViewFigures& figures() const { return figures_; }

  void ServeAsked(int slot) override { node_.ServeAsked(slot); }
  void ViewPublished(Revision revision, const std::vector<mvcc::EventBatchPtr>& events) override;
  void WritesDone(std::vector<WriteOutcome> outcomes) override {
    node_.WritesDone(std::move(outcomes));
  }
  void Defragmented(const Status& status) override { node_.Defragmented(status); }
  void FactsChanged(const FactsPtr& facts) override;

 private:
  void Tick();
  void UpdateFigures();
  void WaitIdle(Time until, std::function<void()> done);
  std::string StateBytes();
  void Greet(io::Connection& connection);
  void AnswerClusterStatus(std::unique_ptr<api::Replier> replier);

  io::Loop& loop_;
  const int index_;
  mvcc::Store& store_;
  FactsPtr facts_ = std::make_shared<const Facts>();
  RequestServer requests_;  // outlives the repliers that the next ones hold
  const std::unique_ptr<io::Transport> transport_;
  LeaderForwarder forwarder_;
  IoNode node_;
  WatchServices watches_;
  api::EdgeMetrics metrics_;
  api::Edge edge_;
  api::Health health_;
  const std::vector<rpc::MethodSpec> methods_;
  const std::size_t message_bytes_max_;
  const rpc::HttpHandler http_;
  std::unique_ptr<rpc::Server> server_;  // null where no client is listened for
  std::uint64_t registry_sent_ = 0;
  io::Loop::TimerId timer_ = 0;
  // For requests per second: counts at the last full second.
  Time counted_at_ = 0;
  std::uint64_t counted_ = 0;
  double per_second_ = 0;
  ViewFigures figures_;
};

}  // namespace coppice::node
