#include "proxy/proxy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "common/api/http.h"
#include "common/base/log.h"

namespace coppice::proxy {
namespace {

constexpr Micros kDrainGrace = 5 * kSecond;

ProxyNode::Options NodeOptions(const ProxyLoop::Settings& settings) {
  ProxyNode::Options options;
  options.pool.upstreams = settings.upstreams;
  options.pool.cluster = settings.cluster;
  options.seed = settings.host->RandomId();
  options.metrics = settings.metrics;
  return options;
}

api::EdgeOptions EdgeOptions(const ProxyLoop::Settings& settings, api::EdgeObserver& observer) {
  api::EdgeOptions options;
  options.listener_defaults = settings.listener_defaults;
  options.limits = settings.limits;
  options.observer = &observer;
  return options;
}

std::string DefaultName(const api::Url& listening) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return fmt::format("{}:{}", host, listening.port);
}

}  // namespace

ProxyLoop::ProxyLoop(io::Loop& loop, Settings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      transport_(settings_.host->MakeTransport(loop, settings_.transport,
                                               [](const io::Hello&) { return nullptr; })),
      node_(loop, *transport_, NodeOptions(settings_)),
      watches_(loop, node_,
               {settings_.transport.hello.node_id, settings_.listener_defaults,
                settings_.watch_buffer_bytes}),
      metrics_(*settings_.metrics),
      edge_(node_, loop, EdgeOptions(settings_, metrics_)),
      health_([this] { return ready(); }),
      methods_(edge_.Methods(&watches_, health_)) {
  node_.SetOnChange([this] { OnChange(); });
  node_.SetOnReplaced(settings_.on_replaced);
  AddGauges(*settings_.metrics);
}

rpc::Server& ProxyLoop::OpenServer() {
  rpc::ServerOptions options;
  options.message_bytes_max = settings_.limits.request_bytes_max + rpc::kMessageSlack;
  server_ = std::make_unique<rpc::Server>(loop_, options, methods_, Http());
  return *server_;
}

void ProxyLoop::AddGauges(metrics::Registry& registry) {
  const auto gauge = [&registry](std::string_view name, std::string_view help,
                                 const std::atomic<std::uint64_t>& value) {
    registry.AddGauge(name, help, {}, [&value] {
      return static_cast<double>(value.load(std::memory_order_relaxed));
    });
  };
  gauge("coppice_proxy_backends", "Connections to voters and learners that are ready", backends_);
  gauge("coppice_proxy_waiting", "Requests that wait for an answer", waiting_);
  gauge("coppice_proxy_watchers", "Watchers of clients", watchers_);
  gauge("coppice_proxy_subscriptions", "Distinct ranges that they watch", subscriptions_);
  gauge("coppice_proxy_watch_buffer_bytes", "Memory taken by recent events of watches",
        watch_buffer_);
}

rpc::HttpHandler ProxyLoop::Http() {
  api::HttpSources sources;
  sources.unhealthy = [this] { return pool().HasLeader() ? std::string() : "no leader"; };
  sources.not_live = [] { return std::string(); };
  sources.not_ready = [this]() -> std::string {
    if (draining_) return "stopping";
    return ready() ? "" : "no voter or learner is reached and ready";
  };
  sources.metrics = settings_.metrics;
  return api::MakeHttpHandler(std::move(sources));
}

void ProxyLoop::OnChange() {
  backends_.store(pool().router().usable(), std::memory_order_relaxed);
  waiting_.store(node_.waiting(), std::memory_order_relaxed);
  watchers_.store(watches_.watchers(), std::memory_order_relaxed);
  subscriptions_.store(watches_.subscriptions(), std::memory_order_relaxed);
  watch_buffer_.store(watches_.buffer_bytes(), std::memory_order_relaxed);
  watches_.OnChange();
  health_.Update();
  settings_.on_change(*this);
}

void ProxyLoop::Drain(Micros grace, std::function<void()> done) {
  draining_ = true;
  health_.Update();
  if (server_ == nullptr) return done();
  server_->Drain(grace, std::move(done));
}

Proxy::Proxy(const ProxyOptions& options, node::Host& host)
    : options_(options),
      id_(host.RandomId()),
      boot_(host.clock().UnixMicros()),
      runtime_(host, {host.ThreadsFor(options.flags.threads), /*has_core=*/false}) {
  ProxyLoop::Settings settings;
  settings.host = &host;
  settings.transport.peer_secret = options_.flags.peer_secret;
  settings.transport.hello.node_id = id_;
  settings.transport.hello.boot_nonce = host.RandomId();
  settings.transport.hello.role = io::ProcessRole::kProxy;
  settings.upstreams = options_.upstreams;
  settings.cluster = &cluster_;
  settings.watch_buffer_bytes =
      options_.watch_buffer_bytes / static_cast<std::size_t>(runtime_.io_count());
  settings.limits = options_.flags.limits;
  settings.metrics = &metrics_;
  settings.on_change = [this](ProxyLoop& loop) { OnChange(loop); };
  settings.on_replaced = [this](std::uint64_t cluster_id) {
    runtime_.core().Post([this, cluster_id] { OnReplaced(cluster_id); });
  };
  for (const api::ListenUrl& listen : options_.flags.listen_client_urls) {
    settings.listener_defaults.push_back(listen.default_consistency);
  }
  for (int i = 0; i < runtime_.io_count(); ++i) {
    loops_.push_back(std::make_unique<ProxyLoop>(runtime_.io(i), settings));
  }
}

Proxy::~Proxy() = default;

Status Proxy::ListenForClients() {
  std::vector<std::pair<io::Loop*, rpc::Server*>> servers;
  for (auto& loop : loops_) servers.emplace_back(&loop->loop(), &loop->OpenServer());
  acceptor_ = std::make_unique<rpc::Acceptor>(runtime_.core(), std::move(servers));
  int listener = 0;
  for (const api::ListenUrl& listen : options_.flags.listen_client_urls) {
    api::Url bound = listen.url;
    COPPICE_ASSIGN_OR_RETURN(bound.port, acceptor_->Listen(bound.host, bound.port, listener++));
    COPPICE_LOG(kInfo, "listening for clients on {}", bound.ToString());
    listening_.push_back(bound);
  }
  metrics_server_ =
      std::make_unique<rpc::Server>(runtime_.core(), rpc::ServerOptions{},
                                    std::vector<rpc::MethodSpec>{}, loops_.front()->Http());
  metrics_acceptor_ = std::make_unique<rpc::Acceptor>(
      runtime_.core(),
      std::vector<std::pair<io::Loop*, rpc::Server*>>{{&runtime_.core(), metrics_server_.get()}});
  for (const api::Url& url : options_.flags.listen_metrics_urls) {
    api::Url bound = url;
    COPPICE_ASSIGN_OR_RETURN(bound.port, metrics_acceptor_->Listen(bound.host, bound.port, 0));
    listening_metrics_.push_back(bound);
  }
  return OkStatus();
}

Registrar::Options Proxy::RegistrarOptions() const {
  Registrar::Options options;
  options.self.id = NodeId(id_);
  options.self.name =
      options_.flags.name.empty() ? DefaultName(listening_.front()) : options_.flags.name;
  options.self.role = replica::NodeRole::kProxy;
  options.self.boot = boot_;
  options.advertised = options_.flags.advertise_client_urls;
  options.listening = listening_;
  options.metrics = listening_metrics_;
  return options;
}

void Proxy::Start() {
  registrar_ = std::make_unique<Registrar>(loops_.front()->loop(), loops_.front()->pool(),
                                           RegistrarOptions());
  for (auto& loop : loops_) {
    loop->loop().Post([&proxy_loop = *loop] { proxy_loop.Start(); });
  }
}

Proxy::End Proxy::Run() {
  Start();
  runtime_.Run([this] {
    end_ = End::kToldTo;
    Shutdown();
  });
  return end_;
}

// Each loop finds out by itself.
void Proxy::OnReplaced(std::uint64_t cluster_id) {
  if (stopping_) return;
  COPPICE_LOG(kWarn,
              "the upstreams belong to cluster {:x} now and none to {:x}, which this proxy served: "
              "it ends its clients' watches and starts anew",
              cluster_id, loops_.front()->pool().cluster_id());
  end_ = End::kReplaced;
  Shutdown();
}

void Proxy::OnChange(ProxyLoop& loop) {
  if (&loop == loops_.front().get()) registrar_->OnChange();
  if (loop.BecameReady() && ++ready_loops_ == runtime_.io_count()) {
    COPPICE_LOG(kInfo, "ready to serve client requests");
  }
}

void Proxy::Shutdown() {
  if (std::exchange(stopping_, true)) return;
  if (acceptor_ != nullptr) acceptor_->Close();
  if (metrics_acceptor_ != nullptr) metrics_acceptor_->Close();
  auto left = std::make_shared<std::atomic<int>>(runtime_.io_count());
  for (auto& loop : loops_) {
    loop->loop().Post([this, left, &proxy_loop = *loop] {
      proxy_loop.Drain(kDrainGrace, [this, left] {
        if (--*left == 0) runtime_.Stop();
      });
    });
  }
}

}  // namespace coppice::proxy
