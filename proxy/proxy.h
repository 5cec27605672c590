#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "common/api/edge.h"
#include "common/api/edge_metrics.h"
#include "common/api/health.h"
#include "common/base/metrics.h"
#include "common/io/transport.h"
#include "common/node/host.h"
#include "common/node/runtime.h"
#include "common/rpc/server.h"
#include "proxy/flags.h"
#include "proxy/proxy_node.h"
#include "proxy/registrar.h"
#include "proxy/watches.h"

namespace coppice::proxy {

// One loop of a proxy: its clients' connections, its own connection to each backend, and all
// between. A request stays on its loop. Thread: its loop's (constructed before it runs).
class ProxyLoop {
 public:
  struct Settings {
    node::Host* host = nullptr;
    io::TransportOptions transport;
    std::vector<api::Url> upstreams;
    std::atomic<std::uint64_t>* cluster = nullptr;  // Pool::Options::cluster
    std::vector<Consistency> listener_defaults;
    std::size_t watch_buffer_bytes = 0;
    api::Limits limits;
    metrics::Registry* metrics = nullptr;
    std::function<void(ProxyLoop&)> on_change;
    std::function<void(std::uint64_t cluster_id)> on_replaced;  // ProxyNode::SetOnReplaced
  };
  ProxyLoop(io::Loop& loop, Settings settings);

  void Start() { node_.Start(); }
  io::Loop& loop() { return loop_; }
  // Every gRPC method there is; their handlers live as long as this.
  const std::vector<rpc::MethodSpec>& methods() const { return methods_; }
  // Serves clients' connections that an Acceptor brings. Called once, or never.
  rpc::Server& OpenServer();
  const ProxyNode& node() const { return node_; }
  const Watches& watches() const { return watches_; }
  Pool& pool() { return node_.pool(); }
  rpc::HttpHandler Http();
  bool ready() const { return !draining_ && node_.ready(); }
  // True once, the first time it is ready.
  bool BecameReady() { return ready() && !std::exchange(said_ready_, true); }
  void Drain(Micros grace, std::function<void()> done);

 private:
  void OnChange();
  void AddGauges(metrics::Registry& registry);

  io::Loop& loop_;
  const Settings settings_;
  bool draining_ = false;  // these two before what asks ready() as it is made
  bool said_ready_ = false;
  const std::unique_ptr<io::Transport> transport_;
  ProxyNode node_;
  Watches watches_;
  api::EdgeMetrics metrics_;
  api::Edge edge_;
  api::Health health_;
  const std::vector<rpc::MethodSpec> methods_;
  std::unique_ptr<rpc::Server> server_;  // null where no client is listened for
  // For metrics, which any thread reads.
  std::atomic<std::uint64_t> backends_{0};
  std::atomic<std::uint64_t> waiting_{0};
  std::atomic<std::uint64_t> watchers_{0};
  std::atomic<std::uint64_t> subscriptions_{0};
  std::atomic<std::uint64_t> watch_buffer_{0};
};

// The coppice-proxy process. Thread: built on main's, then the first loop's.
class Proxy {
 public:
  Proxy(const ProxyOptions& options, node::Host& host);  // which outlives the proxy
  ~Proxy();

  // Binds the addresses; the error names the one that could not be.
  Status ListenForClients();
  enum class End { kToldTo, kReplaced };
  // Until a signal, or until another cluster is at the upstreams' addresses: nothing of what this
  // proxy, its watches and its clients' connections know is true of that one, so another proxy is
  // to be made in its place. Clients are drained first.
  End Run();
  // What Run is made of, for an owner that turns the loops itself: begins the work on each loop;
  // on the first one, ends it in order until every loop is stopped.
  void Start();
  void Shutdown();

  node::Runtime& runtime() { return runtime_; }
  ProxyLoop& loop(int index) { return *loops_[static_cast<std::size_t>(index)]; }
  const metrics::Registry& metrics() const { return metrics_; }

 private:
  void OnChange(ProxyLoop& loop);
  void OnReplaced(std::uint64_t cluster_id);
  Registrar::Options RegistrarOptions() const;

  const ProxyOptions options_;
  const std::uint64_t id_;
  const std::int64_t boot_;
  node::Runtime runtime_;
  metrics::Registry metrics_;
  std::atomic<std::uint64_t> cluster_{0};  // Pool::Options::cluster
  std::vector<std::unique_ptr<ProxyLoop>> loops_;
  std::vector<api::Url> listening_;  // with the ports bound
  std::vector<api::Url> listening_metrics_;
  std::unique_ptr<Registrar> registrar_;
  std::unique_ptr<rpc::Acceptor> acceptor_;
  std::unique_ptr<rpc::Server> metrics_server_;
  std::unique_ptr<rpc::Acceptor> metrics_acceptor_;
  std::atomic<int> ready_loops_{0};
  bool stopping_ = false;
  End end_ = End::kToldTo;
};

}  // namespace coppice::proxy
