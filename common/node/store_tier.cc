#include "common/node/store_tier.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/api/http.h"
#include "common/base/log.h"
#include "common/io/loop.h"

namespace coppice::node {
namespace {

constexpr Micros kDrainGrace = 2 * kSecond;

bool Same(const Facts& a, const Facts& b) {
  return a.leader == b.leader && a.is_leader == b.is_leader && a.confirmed == b.confirmed &&
         a.ready == b.ready && a.draining == b.draining && a.term == b.term &&
         a.registry_version == b.registry_version && a.alarms == b.alarms && a.parent == b.parent &&
         a.known_commit == b.known_commit && a.cluster_id == b.cluster_id && a.members != nullptr;
}

}  // namespace

StoreTier::StoreTier(Runtime& runtime, std::unique_ptr<mvcc::Store> store, Options options)
    : runtime_(runtime),
      store_(std::move(store)),
      options_(std::move(options)),
      core_(runtime, *store_, options_.core),
      core_transport_(runtime.host().MakeTransport(
          runtime.core(), {options_.hello, options_.flags.peer_secret},
          [this](const io::Hello& hello) -> io::ConnectionHandler* {
            if (hello.connection_class == io::ConnectionClass::kTail) return &core_.tail();
            return options_.accept_raft ? options_.accept_raft(hello) : nullptr;
          })),
      peer_listener_(runtime.host().MakeListener(
          runtime.core(), {options_.hello, options_.flags.peer_secret},
          [this](const io::Hello& hello) { return ChooseLoop(hello); })) {
  const IoSettings settings = Settings();
  for (int i = 0; i < runtime_.io_count(); ++i) {
    ios_.push_back(
        std::make_unique<IoServices>(runtime_.io(i), i, settings, *store_, core_, metrics_));
    core_.AddIo(ios_.back().get());
  }
  AddGauges();
}

StoreTier::~StoreTier() = default;

IoSettings StoreTier::Settings() {
  IoSettings settings;
  settings.host = &runtime_.host();
  settings.cluster_id = options_.hello.cluster_id;
  settings.transport = {options_.hello, options_.flags.peer_secret};
  settings.limits = options_.limits;
  settings.tuning = options_.tuning;
  for (const api::ListenUrl& url : options_.flags.listen_client_urls) {
    settings.listener_defaults.push_back(url.default_consistency);
  }
  api::HttpSources sources;
  sources.unhealthy = [this] {
    return has_leader_.load(std::memory_order_relaxed) ? std::string() : std::string("no leader");
  };
  sources.not_live = [] { return std::string(); };
  sources.not_ready = [this] { return NotReady(); };
  sources.metrics = &metrics_;
  settings.http = api::MakeHttpHandler(std::move(sources));
  return settings;
}

void StoreTier::AddGauges() {
  const auto add = [this](std::string_view name, std::string_view help, auto read) {
    metrics_.AddGauge(name, help, "", std::move(read));
  };
  add("etcd_server_has_leader", "1 if a leader is known",
      [this] { return has_leader_.load(std::memory_order_relaxed) ? 1.0 : 0.0; });
  add("etcd_server_is_leader", "1 if this voter leads",
      [this] { return is_leader_.load(std::memory_order_relaxed) ? 1.0 : 0.0; });
  add("coppice_raft_term", "The highest raft term seen",
      [this] { return static_cast<double>(term_.load(std::memory_order_relaxed)); });
  const ViewFigures& view = ios_.front()->figures();
  add("coppice_applied_index", "The last log entry applied",
      [&view] { return static_cast<double>(view.applied.load(std::memory_order_relaxed)); });
  add("coppice_revision", "The store's revision",
      [&view] { return static_cast<double>(view.revision.load(std::memory_order_relaxed)); });
  add("coppice_staleness_seconds",
      "How long ago the last read round whose index is applied was begun; -1: none was yet",
      [&view, &clock = runtime_.host().clock()] {
        const Time fresh_as_of = view.fresh_as_of.load(std::memory_order_relaxed);
        if (fresh_as_of == 0) return -1.0;
        return static_cast<double>(clock.Now() - fresh_as_of) / kSecond;
      });
  for (const auto& io : ios_) {
    metrics_.AddCounterFunction(
        "coppice_forwarded_requests_total", "Requests that proxies and other nodes sent on to here",
        {}, [&figures = io->figures()] {
          return static_cast<double>(figures.received.load(std::memory_order_relaxed));
        });
  }
}

std::string StoreTier::NotReady() const {
  if (ready_.load(std::memory_order_relaxed)) return {};
  if (stuck_.load(std::memory_order_relaxed)) {
    return "what is committed cannot be applied: the log says why";
  }
  return has_leader_.load(std::memory_order_relaxed)
             ? "not caught up, too stale, or not in the registry"
             : "no leader";
}

io::Transport* StoreTier::ChooseLoop(const io::Hello& hello) {
  if (hello.connection_class != io::ConnectionClass::kRequest) return core_transport_.get();
  next_io_ = (next_io_ + 1) % static_cast<int>(ios_.size());
  return &ios_[static_cast<std::size_t>(next_io_)]->transport();
}

Status StoreTier::ListenForPeers() {
  for (const api::Url& url : options_.listen_peer_urls) {
    COPPICE_RETURN_IF_ERROR(peer_listener_->Listen(url.host, url.port).status());
  }
  return OkStatus();
}

Status StoreTier::ListenForClients() {
  std::vector<std::pair<io::Loop*, rpc::Server*>> servers;
  for (auto& services : ios_) servers.emplace_back(&services->loop(), &services->OpenServer());
  acceptor_ = std::make_unique<rpc::Acceptor>(runtime_.core(), std::move(servers));
  int listener = 0;
  for (const api::ListenUrl& listen : options_.flags.listen_client_urls) {
    COPPICE_RETURN_IF_ERROR(
        acceptor_->Listen(listen.url.host, listen.url.port, listener++).status());
  }
  if (options_.flags.listen_metrics_urls.empty()) return OkStatus();
  metrics_server_ = std::make_unique<rpc::Server>(runtime_.core(), rpc::ServerOptions{},
                                                  std::vector<rpc::MethodSpec>{}, Settings().http);
  metrics_acceptor_ = std::make_unique<rpc::Acceptor>(
      runtime_.core(),
      std::vector<std::pair<io::Loop*, rpc::Server*>>{{&runtime_.core(), metrics_server_.get()}});
  for (const api::Url& url : options_.flags.listen_metrics_urls) {
    COPPICE_RETURN_IF_ERROR(metrics_acceptor_->Listen(url.host, url.port, 0).status());
  }
  return OkStatus();
}

void StoreTier::Start() {
  core_.Start();
  for (auto& services : ios_) {
    services->loop().Post([&services = *services] { services.Start(); });
  }
}

void StoreTier::FillMembers(Facts& facts) const {
  std::map<NodeId, replica::Registration> members;
  for (const replica::Registration& member : static_members_) members[member.id] = member;
  for (const auto& [id, node] : const_cast<StoreTier*>(this)->core_.registry().nodes()) {
    members[id] = node.registration;
  }
  auto list = std::make_shared<Members>();
  for (auto& [id, member] : members) list->push_back(std::move(member));
  facts.members = std::move(list);
}

void StoreTier::UpdateFacts(const std::function<void(Facts&)>& change) {
  auto next = std::make_shared<Facts>(*facts_);
  change(*next);
  replica::Registry& registry = core_.registry();
  if (facts_->members == nullptr || next->registry_version != registry.version() ||
      next->registry == nullptr) {
    next->registry_version = registry.version();
    next->registry = std::make_shared<const std::string>(registry.EncodeContents());
    FillMembers(*next);
  }
  next->alarms = store_->Alarms();
  const bool same = Same(*facts_, *next);
  facts_ = std::move(next);
  stuck_.store(core_.stuck(), std::memory_order_relaxed);
  if (same) return;
  ready_.store(facts_->ready, std::memory_order_relaxed);
  has_leader_.store(facts_->leader != NodeId() && facts_->confirmed, std::memory_order_relaxed);
  is_leader_.store(facts_->is_leader, std::memory_order_relaxed);
  term_.store(facts_->term.value(), std::memory_order_relaxed);
  core_.Publish(facts_);
}

void StoreTier::Shutdown() {
  UpdateFacts([](Facts& facts) { facts.draining = true; });
  if (acceptor_ != nullptr) acceptor_->Close();
  peer_listener_->Close();
  auto left = std::make_shared<std::atomic<int>>(io_count());
  for (auto& services : ios_) {
    services->loop().Post([this, left, &services = *services] {
      services.Drain(kDrainGrace, [this, left] {
        if (--*left == 0) runtime_.Stop();
      });
    });
  }
}

}  // namespace coppice::node
