#include "learner/learner.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/node/data_dir.h"
#include "learner/find_cluster.h"

namespace coppice::learner {
namespace {

constexpr Micros kTick = 50 * kMillisecond;

}  // namespace

Learner::Learner(const LearnerOptions& options, node::Host& host, node::Storage storage)
    : options_(options),
      storage_(std::move(storage)),
      runtime_(host, {host.ThreadsFor(options.flags.threads), /*has_core=*/true}) {}

Learner::~Learner() = default;

StatusOr<std::unique_ptr<Learner>> Learner::Open(const LearnerOptions& options, node::Host& host,
                                                 node::Storage storage) {
  std::unique_ptr<Learner> learner(new Learner(options, host, std::move(storage)));
  COPPICE_RETURN_IF_ERROR(learner->Init());
  return learner;
}

Status Learner::Init() {
  node::Host& host = runtime_.host();
  boot_nonce_ = host.RandomId();
  boot_time_ = host.clock().UnixMicros();
  COPPICE_RETURN_IF_ERROR(node::CheckLearnerDirectory(*storage_.disk, options_.data_dir));
  COPPICE_RETURN_IF_ERROR(FindIdentity());
  COPPICE_ASSIGN_OR_RETURN(auto store, OpenStore());
  Wire(std::move(store));
  return tier_->ListenForPeers();
}

// Nothing is made on disk before the cluster is known: a learner whose upstream cannot be reached
// leaves nothing behind.
Status Learner::FindIdentity() {
  node::Host& host = runtime_.host();
  io::Disk& disk = *storage_.disk;
  COPPICE_ASSIGN_OR_RETURN(Identity known,
                           LoadIdentity(disk, options_.data_dir, NodeId(host.RandomId())));
  if (known.cluster_id == 0) {
    io::TransportOptions transport;
    transport.hello.node_id = known.id.value();
    transport.hello.boot_nonce = boot_nonce_;
    transport.hello.role = io::ProcessRole::kLearner;
    transport.peer_secret = options_.flags.peer_secret;
    COPPICE_ASSIGN_OR_RETURN(known.cluster_id, FindCluster(host, transport, options_.upstream));
  }
  COPPICE_RETURN_IF_ERROR(node::CreateDataDirectory(disk, options_.data_dir));
  COPPICE_ASSIGN_OR_RETURN(lock_, disk.Lock(options_.data_dir + "/lock"));
  // Read again now that the directory is this process's: another may have had it meanwhile.
  COPPICE_ASSIGN_OR_RETURN(identity_, LoadIdentity(disk, options_.data_dir, known.id));
  if (identity_.cluster_id != 0) return OkStatus();
  identity_ = known;
  return SaveIdentity(disk, options_.data_dir, identity_);
}

StatusOr<std::unique_ptr<mvcc::Store>> Learner::OpenStore() {
  COPPICE_ASSIGN_OR_RETURN(auto backend, storage_.open_backend(options_.data_dir + "/store"));
  mvcc::StoreOptions options;
  options.loops = runtime_.io_count();
  options.ring_bytes = options_.tuning.event_ring_bytes;
  return mvcc::Store::Open(std::move(backend), options);
}

void Learner::Wire(std::unique_ptr<mvcc::Store> store) {
  node::StoreTier::Options options;
  options.flags = options_.flags;
  options.listen_peer_urls = options_.listen_peer_urls;
  options.limits = options_.flags.limits;
  options.hello.cluster_id = identity_.cluster_id;
  options.hello.node_id = identity_.id.value();
  options.hello.boot_nonce = boot_nonce_;
  options.hello.role = io::ProcessRole::kLearner;
  options.core.gate.boot_nonce = boot_nonce_;
  options.core.gate.gap_max = runtime_.one_loop() ? 0 : 500;
  options.tuning = options_.tuning;
  options.core.flush_interval = options_.tuning.flush_interval;
  options.core.flush_bytes = options_.tuning.flush_bytes;
  options.core.tail.cluster_id = identity_.cluster_id;
  options.core.tail.window_bytes = options_.tuning.tail_window_bytes;
  options.core.tail.self = identity_.id;
  tier_ = std::make_unique<node::StoreTier>(runtime_, std::move(store), std::move(options));
  for (int i = 0; i < tier_->io_count(); ++i) {
    tier_->io(i).forwarder().SetFallback(options_.upstream);
  }
  WireTail();
  WireCore();
}

void Learner::WireTail() {
  node::ReplicaCore& core = tier_->core();
  replica::TailSinkConfig config;
  config.cluster_id = identity_.cluster_id;
  config.self = identity_.id;
  LogTail::Hooks hooks;
  hooks.gate = [&core](replica::ReadGate::Input input) { core.Gate(std::move(input)); };
  hooks.apply = [&core](std::vector<EntryPtr> entries) {
    core.tail().Input(replica::TailSource::Committed{entries});
    core.Apply(entries);
  };
  hooks.path = [&core](std::vector<NodeId> path, bool rooted) {
    core.tail().Input(replica::TailSource::PathChanged{std::move(path), rooted});
  };
  hooks.upstream_changed = [this](std::uint64_t) {
    if (std::string host = tail_->local_host(); !host.empty()) local_host_ = std::move(host);
    renewer_->SetOwn(Own());
    renewer_->UpstreamChanged(runtime_.core().now());
  };
  hooks.need_snapshot = [this] {
    if (std::exchange(snapshot_needed_, true)) return;
    COPPICE_LOG(
        kError,
        "no upstream has the log that this learner needs next, or its history is another: "
        "stop it, remove {} and start it again, so that it copies the log from its beginning",
        options_.data_dir);
  };
  tail_ = std::make_unique<LogTail>(runtime_.core(), tier_->transport(), config, std::move(hooks),
                                    Rng(runtime_.host().RandomId()));
}

void Learner::WireCore() {
  node::ReplicaCore& core = tier_->core();
  renewer_ = std::make_unique<replica::RegistryRenewer>(core.registry());
  renewer_->SetOwn(Own());
  node::ReplicaCore::Hooks hooks;
  hooks.rounds = tail_.get();
  hooks.applied = [this](std::span<const EntryPtr> entries, mvcc::ApplyOutput&) {
    tail_->Input(replica::TailSink::Applied{entries.back()->index()});
  };
  hooks.renewals = [this](const replica::RenewBundle& bundle) {
    renewer_->Received(runtime_.core().now(), bundle);
  };
  hooks.registry_changed = [this] {
    tier_->UpdateFacts([](node::Facts&) {});
    TellCandidates();
  };
  hooks.round_confirmed = [this](Time sent_at) {
    tail_->Input(replica::TailSink::RoundCompleted{sent_at});
  };
  core.SetHooks(std::move(hooks));
  node::TailServer::Hooks tail;
  tail.round = [&core](std::uint64_t child, std::uint64_t id, bool relaxed) {
    core.Gate(replica::ReadGate::ChildRound{child, id, relaxed});
  };
  tail.gone = [&core](std::uint64_t child) { core.Gate(replica::ReadGate::ChildGone{child}); };
  tail.renewals = [this](const replica::RenewBundle& bundle) {
    renewer_->Received(runtime_.core().now(), bundle);
  };
  tail.read_wal = [](Index, Index, std::size_t) { return std::vector<EntryPtr>(); };
  tail.first_in_wal = [] { return Index(); };
  core.tail().SetHooks(std::move(tail));
}

replica::Registration Learner::Own() const {
  std::vector<api::Url> listening;
  for (const api::ListenUrl& url : options_.flags.listen_client_urls) listening.push_back(url.url);
  replica::Registration own;
  own.id = identity_.id;
  own.name = options_.flags.name;
  own.role = replica::NodeRole::kLearner;
  own.client_urls =
      node::AdvertisedUrls(options_.flags.advertise_client_urls, listening, local_host_);
  own.peer_urls =
      node::AdvertisedUrls(options_.advertise_peer_urls, options_.listen_peer_urls, local_host_);
  if (!options_.flags.listen_metrics_urls.empty()) {
    own.metrics_url =
        node::AdvertisedUrls({}, options_.flags.listen_metrics_urls, local_host_).front();
  }
  own.boot = boot_time_;
  if (tail_ != nullptr) own.parent = tail_->sink().upstream_id();
  return own;
}

void Learner::TellCandidates() {
  replica::TailSink::Candidates candidates;
  replica::TailSource::Voters voters;
  for (const api::Url& url : options_.upstream) {
    candidates.list.push_back({url.ToString(), NodeId(), false, true});
  }
  for (const auto& [id, node] : tier_->core().registry().nodes()) {
    const replica::Registration& other = node.registration;
    if (id == identity_.id || other.role == replica::NodeRole::kProxy || other.peer_urls.empty()) {
      continue;
    }
    const std::string& address = other.peer_urls.front();
    if (other.role == replica::NodeRole::kVoter) voters.addresses.push_back(address);
    const bool known = std::any_of(candidates.list.begin(), candidates.list.end(),
                                   [&](const auto& c) { return c.address == address; });
    if (known) continue;
    candidates.list.push_back({address, id, other.role == replica::NodeRole::kVoter, false});
  }
  // Before the registry is here: those that this learner asks itself know more.
  if (voters.addresses.empty()) {
    for (const api::Url& url : options_.upstream) voters.addresses.push_back(url.ToString());
  }
  tier_->core().tail().Input(std::move(voters));
  tail_->Input(std::move(candidates));
}

void Learner::Start() {
  runtime_.core().Post([this] {
    tier_->Start();
    tier_->UpdateFacts([this](node::Facts& facts) {
      facts.cluster_id = identity_.cluster_id;
      facts.node = identity_.id;
      facts.learner = true;
      facts.confirmed = false;
    });
    tail_->Input(replica::TailSink::SnapshotInstalled{
        tier_->core().applied(), tier_->core().applied_term(), identity_.cluster_id});
    TellCandidates();
    Tick();
  });
}

Status Learner::Run() {
  Start();
  runtime_.Run([this] { Shutdown(); });
  return Finish();
}

Status Learner::Finish() {
  tail_->Stop();
  return tier_->Close();
}

// What is looked at now and then: renewals due, and whether this learner is fresh enough.
void Learner::Tick() {
  const Time now = runtime_.core().now();
  if (tail_->up()) {
    const replica::RenewBundle bundle = renewer_->Take(now);
    if (!bundle.empty()) tail_->SendRenewals(bundle);
  }
  tier_->core().tail().Input(
      replica::TailSource::LeaderIs{tail_->sink().leader(), tail_->sink().leader_term()});
  const replica::ReadGate& gate = tier_->core().gate();
  const bool fresh =
      gate.fresh_as_of() != 0 && now - gate.fresh_as_of() <= options_.ready_max_staleness;
  const bool known = tier_->core().registry().Find(identity_.id) != nullptr;
  tier_->UpdateFacts([&](node::Facts& facts) {
    facts.confirmed = gate.confirmed();
    facts.ready = fresh && known && !tier_->core().stuck() && renewer_->Refused().empty();
    facts.term = std::max(tail_->sink().leader_term(), tier_->core().applied_term());
    facts.leader = tail_->sink().leader();
    facts.parent = tail_->sink().upstream_id();
    facts.known_commit = tail_->sink().commit();
    facts.commit = tail_->sink().commit();
  });
  if (tier_->facts().ready && !std::exchange(said_ready_, true)) {
    COPPICE_LOG(kInfo, "ready to serve client requests");
  }
  runtime_.core().RunAt(now + kTick, [this] { Tick(); });
}

}  // namespace coppice::learner
