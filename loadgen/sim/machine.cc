#include "loadgen/sim/machine.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <utility>

#include "common/base/check.h"
#include "common/mvcc/rocksdb_backend.h"
#include "learner/identity_file.h"

namespace coppice::sim {
namespace {

constexpr const char* kDataDir = "data";

api::Url PeerUrl(const std::string& host) {
  return {host, kPeerPort};
}

std::uint64_t IncarnationOf(HostId host, std::uint64_t starts) {
  return static_cast<std::uint64_t>(host) << 16 | starts;
}

}  // namespace

Machine::Machine(Fabric& fabric, const Plan& plan, Tier tier, std::string name, HostId host,
                 Names names, Hooks hooks)
    : fabric_(fabric),
      plan_(plan),
      tier_(tier),
      name_(std::move(name)),
      host_(host),
      names_(std::move(names)),
      hooks_(std::move(hooks)),
      clock_(fabric.scheduler, plan.ClockOf(host).start, plan.ClockOf(host).ppm),
      disk_(fabric, static_cast<std::uint64_t>(host)) {}

Machine::~Machine() {
  if (process_ != nullptr) {
    process_->Die();
    Destroy();
  }
  if (!rocksdb_.empty()) std::filesystem::remove_all(rocksdb_);
}

node::StoreTier* Machine::tier_of_store() {
  if (voter_ != nullptr) return &voter_->tier();
  return learner_ != nullptr ? &learner_->tier() : nullptr;
}

node::CommonFlags Machine::Flags() const {
  node::CommonFlags flags;
  flags.name = name_;
  flags.listen_client_urls = {{{name_, kClientPort}, {}}};
  flags.threads = plan_.threads;
  return flags;
}

node::Storage Machine::StorageOf() {
  node::Storage storage;
  storage.disk = &disk_;
  storage.open_backend = [this](const std::string&) { return OpenStore(); };
  return storage;
}

StatusOr<std::unique_ptr<mvcc::KvBackend>> Machine::OpenStore() {
  if (!plan_.rocksdb) return std::make_unique<SimBackend>(rows_, *process_, plan_.flush_chance);
  if (rocksdb_.empty()) {
    rocksdb_ = (std::filesystem::temp_directory_path() / "coppice-sim-XXXXXX").string();
    COPPICE_CHECK(::mkdtemp(rocksdb_.data()) != nullptr, "a temporary directory can be made");
  }
  fabric_.coverage.Add("stores-in-rocksdb");
  mvcc::RocksDbOptions options;
  options.no_background_work = true;
  COPPICE_ASSIGN_OR_RETURN(auto store, mvcc::OpenRocksDb(rocksdb_ + "/store", options));
  return std::make_unique<SimBackend>(std::move(store), store_failure_, *process_,
                                      plan_.flush_chance);
}

void Machine::SetStoreFailure(const Status& status) {
  rows_->SetFailure(status);
  store_failure_ = status;
}

void Machine::Start() {
  COPPICE_CHECK(process_ == nullptr);
  if (!std::exchange(powered_, true)) fabric_.network.StartHost(host_);
  ++starts_;
  Process::Options options;
  options.name = name_;
  options.host = host_;
  options.incarnation = IncarnationOf(host_, starts_);
  options.threads = plan_.threads;
  options.hesitation = plan_.hesitation;
  options.hesitation_max = plan_.hesitation_max;
  process_ = std::make_unique<Process>(fabric_, clock_, std::move(options));
  process_->SetOnEnd([this] { Ended(); });
  process_->SetAfterTurn([this] { hooks_.after_turn(*this); });
  disk_.SetProcess(process_.get());
  fabric_.running = process_.get();
  Begin();
  fabric_.running = nullptr;
  process_->EndOfTurn();
}

void Machine::Begin() {
  switch (tier_) {
    case Tier::kVoter:
      return StartVoter();
    case Tier::kLearner:
      return StartLearner();
    case Tier::kProxy:
      return StartProxy();
  }
}

voter::VoterOptions Machine::OptionsOfVoter() const {
  voter::VoterOptions options;
  options.flags = Flags();
  options.data_dir = kDataDir;
  options.listen_peer_urls = {PeerUrl(name_)};
  options.advertise_peer_urls = {PeerUrl(name_)};
  for (const std::string& name : names_.voters) {
    options.initial_cluster.emplace_back(name, PeerUrl(name));
  }
  options.heartbeat_interval = plan_.heartbeat;
  options.election_timeout = plan_.election_timeout;
  options.tuning = plan_.tuning;
  options.wal_segment_bytes = plan_.wal_segment_bytes;
  options.raft_window_bytes = plan_.raft_window_bytes;
  return options;
}

void Machine::StartVoter() {
  const voter::VoterOptions options = OptionsOfVoter();
  const auto due = voter::FirstStart::IsDue(options, disk_);
  if (!due.ok()) return Refuse(due.status());
  if (!*due) return OpenVoter();
  // As voter::PassFirstStart does, but without a thread that waits.
  find_loop_ = process_->MakeLoop("first");
  first_start_ = std::make_unique<voter::FirstStart>(options, *process_, *find_loop_, disk_);
  find_loop_->Post([this] {
    first_start_->Start([this](const Status& status) {
      fabric_.scheduler.After(0, [this, status, starts = starts_] {
        if (starts != starts_ || process_ == nullptr || process_->dead()) return;
        if (!status.ok()) return Refuse(status);
        first_start_.reset();
        process_->Forget(*find_loop_);
        find_loop_.reset();
        fabric_.running = process_.get();
        OpenVoter();
        fabric_.running = nullptr;
        process_->EndOfTurn();
      });
    });
  });
  process_->Kick();
}

void Machine::OpenVoter() {
  auto voter = voter::Voter::Open(OptionsOfVoter(), *process_, StorageOf());
  if (!voter.ok()) return Refuse(voter.status());
  voter_ = *std::move(voter);
  voter_->Start();
  OpenPort();
}

void Machine::StartLearner() {
  const auto loaded = learner::LoadIdentity(disk_, kDataDir, NodeId(process_->RandomId()));
  if (!loaded.ok()) return Refuse(loaded.status());
  const learner::Identity identity = *loaded;
  if (identity.cluster_id != 0) return OpenLearner(identity.cluster_id);
  // As learner::FindCluster does, but without a thread that waits.
  io::TransportOptions transport;
  transport.hello.node_id = identity.id.value();
  transport.hello.boot_nonce = process_->RandomId();
  transport.hello.role = io::ProcessRole::kLearner;
  std::vector<api::Url> upstream;
  for (const std::string& name : names_.voters) upstream.push_back(PeerUrl(name));
  find_loop_ = process_->MakeLoop("find");
  finder_ = std::make_unique<learner::ClusterFinder>(*process_, *find_loop_, transport, upstream);
  find_loop_->Post([this, identity] {
    finder_->Start([this, identity](const StatusOr<std::uint64_t>& found) {
      fabric_.scheduler.After(0, [this, identity, found, starts = starts_] {
        if (starts != starts_ || process_ == nullptr || process_->dead()) return;
        finder_.reset();
        process_->Forget(*find_loop_);
        find_loop_.reset();
        if (!found.ok()) return Refuse(found.status());
        learner::Identity known = identity;
        known.cluster_id = *found;
        Status saved = disk_.CreateDirectories(kDataDir);
        if (saved.ok()) saved = learner::SaveIdentity(disk_, kDataDir, known);
        if (!saved.ok()) return Refuse(saved);
        fabric_.running = process_.get();
        OpenLearner(*found);
        fabric_.running = nullptr;
        process_->EndOfTurn();
      });
    });
  });
  process_->Kick();
}

void Machine::OpenLearner(std::uint64_t /*cluster_id*/) {
  learner::LearnerOptions options;
  options.flags = Flags();
  options.data_dir = kDataDir;
  options.listen_peer_urls = {PeerUrl(name_)};
  options.advertise_peer_urls = {PeerUrl(name_)};
  if (names_.upstream.empty()) {
    for (const std::string& name : names_.voters) options.upstream.push_back(PeerUrl(name));
  } else {
    options.upstream.push_back(PeerUrl(names_.upstream));
  }
  options.tuning = plan_.tuning;
  auto learner = learner::Learner::Open(options, *process_, StorageOf());
  if (!learner.ok()) return Refuse(learner.status());
  learner_ = *std::move(learner);
  learner_->Start();
  OpenPort();
}

void Machine::StartProxy() {
  proxy::ProxyOptions options;
  options.flags = Flags();
  for (const std::string& name : names_.voters) options.upstreams.push_back(PeerUrl(name));
  options.watch_buffer_bytes = plan_.tuning.event_ring_bytes;
  proxy_ = std::make_unique<proxy::Proxy>(options, *process_);
  proxy_->Start();
  OpenPort();
}

void Machine::OpenPort() {
  std::vector<GrpcPort::Target> targets;
  if (node::StoreTier* const tier = tier_of_store()) {
    for (int i = 0; i < tier->io_count(); ++i) {
      targets.push_back({&process_->SlotOf(tier->io(i).loop()), &tier->io(i).methods()});
    }
  } else {
    for (int i = 0; i < proxy_->runtime().io_count(); ++i) {
      proxy::ProxyLoop& loop = proxy_->loop(i);
      targets.push_back({&process_->SlotOf(loop.loop()), &loop.methods()});
    }
  }
  port_ = std::make_unique<GrpcPort>(*process_, kClientPort, std::move(targets));
  process_->Kick();
}

void Machine::Refuse(const Status& status) {
  if (process_->dead()) return;  // it died within: Ended follows
  process_->Die();
  process_->SetOnEnd([this, status] {
    Destroy();
    hooks_.refused(*this, status);
  });
  // Die tells a handler that was set before.
}

void Machine::Kill(bool power_loss, Rng& rng) {
  if (process_ == nullptr) return;
  process_->Die();
  if (power_loss) {
    fabric_.network.StopHost(host_, true);
    powered_ = false;
  }
  Destroy();
  if (power_loss) disk_.memory().Crash(rng);
}

void Machine::Stop() {
  if (voter_ == nullptr && learner_ == nullptr && proxy_ == nullptr) return;
  node::Runtime& runtime = voter_ != nullptr     ? voter_->runtime()
                           : learner_ != nullptr ? learner_->runtime()
                                                 : proxy_->runtime();
  runtime.core().Post([this] {
    if (voter_ != nullptr) voter_->Shutdown();
    if (learner_ != nullptr) learner_->Shutdown();
    if (proxy_ != nullptr) proxy_->Shutdown();
  });
  process_->SetAfterTurn([this, &runtime] {
    hooks_.after_turn(*this);
    if (process_->dead() || !runtime.core().stopped()) return;
    // Every loop is told at once, so this is the end of all of them.
    if (voter_ != nullptr) (void)voter_->Finish();
    if (learner_ != nullptr) (void)learner_->Finish();
    process_->Die();
  });
  process_->Kick();
}

void Machine::Pause(Micros time) {
  if (process_ != nullptr) process_->PauseUntil(fabric_.scheduler.now() + time);
}

void Machine::Wipe() {
  COPPICE_CHECK(process_ == nullptr);
  for (const auto& [path, bytes] : disk_.memory().Image()) {
    (void)disk_.memory().Remove(path);
    (void)disk_.memory().SyncDirectory(path.substr(0, path.rfind('/')));  // for ever
  }
  rows_ = std::make_shared<mvcc::MemoryDisk>();
  if (!rocksdb_.empty()) std::filesystem::remove_all(rocksdb_ + "/store");
  damaged = false;
}

void Machine::Ended() {
  const bool power_loss = disk_.TakePowerLoss();
  if (power_loss) {
    fabric_.network.StopHost(host_, true);
    powered_ = false;
  }
  Destroy();
  if (power_loss) disk_.memory().Crash(disk_.rng());
  hooks_.ended(*this);
}

void Machine::Destroy() {
  hooks_.ending(*this);
  fabric_.network.StopHost(host_, false);
  process_->DropInput();
  port_.reset();
  finder_.reset();
  first_start_.reset();
  find_loop_.reset();
  voter_.reset();
  learner_.reset();
  proxy_.reset();
  process_->LoopsGone();
  process_.reset();
  disk_.SetProcess(nullptr);
  rows_->Crash();
}

}  // namespace coppice::sim
