#include "voter/voter.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/node/data_dir.h"

namespace coppice::voter {
namespace {

constexpr Micros kRegistryTick = 50 * kMillisecond;
constexpr Micros kRefresh = 100 * kMillisecond;  // of freshness, with learners below
constexpr Micros kRefreshAlone = 1000 * kMillisecond;
constexpr Micros kVoterTtl = 600 * kSecond;  // voters stay listed while they are down
constexpr std::uint64_t kNoToken = UINT64_MAX;
constexpr std::uint64_t kDiskReserve = 64U << 20;  // bytes kept back for deletes and compactions

}  // namespace

Voter::Voter(const VoterOptions& options, node::Host& host, node::Storage storage)
    : options_(options),
      storage_(std::move(storage)),
      runtime_(host, {host.ThreadsFor(options.flags.threads), /*has_core=*/true}) {}

Voter::~Voter() {
  if (driver_ != nullptr) driver_.reset();
}

StatusOr<std::unique_ptr<Voter>> Voter::Open(const VoterOptions& options, node::Host& host,
                                             node::Storage storage) {
  std::unique_ptr<Voter> voter(new Voter(options, host, std::move(storage)));
  COPPICE_RETURN_IF_ERROR(voter->Init());
  return voter;
}

Status Voter::OpenStore(const std::string& path, std::unique_ptr<mvcc::Store>& store,
                        std::optional<BootLog>& boot) {
  COPPICE_ASSIGN_OR_RETURN(auto backend, storage_.open_backend(path));
  mvcc::StoreOptions options;
  options.loops = runtime_.io_count();
  options.ring_bytes = options_.tuning.event_ring_bytes;
  COPPICE_ASSIGN_OR_RETURN(store, mvcc::Store::Open(std::move(backend), options));
  boot.emplace(store->View(0).applied, options_.raft_window_bytes);
  store->Quiesce(0, true);
  return OkStatus();
}

Status Voter::OpenDirectories(const std::string& member) {
  if (cluster_.voters.size() == 1) return OkStatus();
  COPPICE_ASSIGN_OR_RETURN(auto found,
                           Directories::Load(*storage_.disk, member, {cluster_.id, cluster_.self}));
  if (!found || found->stage() == Directories::Stage::kAsking) {
    return MakeStatus(StatusCode::kFailedPrecondition,
                      fmt::format("{} has not passed its first start", options_.data_dir));
  }
  directories_ = *std::move(found);
  return OkStatus();
}

StatusOr<raft::BootState> Voter::OpenState(std::unique_ptr<mvcc::Store>& store,
                                           std::unique_ptr<wal::Wal>& wal) {
  const std::string member = options_.data_dir + "/member";
  COPPICE_RETURN_IF_ERROR(node::CheckVoterDirectory(*storage_.disk, options_.data_dir));
  COPPICE_RETURN_IF_ERROR(node::CreateDataDirectory(*storage_.disk, member));
  COPPICE_ASSIGN_OR_RETURN(lock_, storage_.disk->Lock(member + "/lock"));
  COPPICE_RETURN_IF_ERROR(OpenDirectories(member));
  // The log first: it knows whose directory this is, and refuses before the store is touched.
  wal::WalOptions wal_options;
  wal_options.cluster_id = cluster_.id;
  wal_options.node_id = cluster_.self.value();
  wal_options.segment_bytes = options_.wal_segment_bytes;
  Status opened = OkStatus();
  std::optional<BootLog> boot;
  // Entries come once the whole log is verified. They are not gathered first: what is applied needs
  // no memory, however long the log.
  const auto replay = [&](const EntryPtr& entry) {
    if (!boot && opened.ok()) opened = OpenStore(member + "/store", store, boot);
    if (boot) boot->Replay(entry);
  };
  COPPICE_ASSIGN_OR_RETURN(
      wal, wal::Wal::Open(*storage_.disk, member + "/wal", wal_options, replay, recovered_));
  if (!boot && opened.ok()) opened = OpenStore(member + "/store", store, boot);
  COPPICE_RETURN_IF_ERROR(opened);
  // From here on a directory without its log is one that has lost it.
  COPPICE_RETURN_IF_ERROR(directories_.SetStage(Directories::Stage::kTakesPart));
  const Index applied = boot->applied();
  if (applied > recovered_.last_index) {
    return MakeStatus(
        StatusCode::kDataLoss,
        fmt::format("{}: the state has applied entry {} and the log ends at {}: part of the log is "
                    "missing. Restore the directory; a new one would forget this voter's votes",
                    options_.data_dir, applied.value(), recovered_.last_index.value()));
  }
  raft::Configuration configuration;
  const std::string saved = store->GetMeta(node::kConfigurationKey);
  if (saved.empty() || !raft::DecodeConfiguration(saved, configuration)) {
    for (const PeerAddress& voter : cluster_.voters) configuration.voters.push_back(voter.id);
    std::sort(configuration.voters.begin(), configuration.voters.end());
  }
  return boot->Finish(recovered_, std::move(configuration));
}

Status Voter::Init() {
  COPPICE_ASSIGN_OR_RETURN(cluster_, ClusterOf(options_));
  boot_nonce_ = runtime_.host().RandomId();
  boot_time_ = runtime_.host().clock().UnixMicros();
  std::unique_ptr<mvcc::Store> store;
  std::unique_ptr<wal::Wal> wal;
  COPPICE_ASSIGN_OR_RETURN(raft::BootState boot, OpenState(store, wal));
  Wire(std::move(boot), std::move(store), std::move(wal));
  return tier_->ListenForPeers();
}

node::Members Voter::StaticMembers() const {
  node::Members members;
  for (const PeerAddress& voter : cluster_.voters) {
    replica::Registration member;
    member.id = voter.id;
    member.name = voter.name;
    member.role = replica::NodeRole::kVoter;
    for (const auto& [name, url] : options_.initial_cluster) {
      if (name == voter.name) member.peer_urls.push_back(url.ToString());
    }
    if (voter.id == cluster_.self) {
      // A wildcard is reached where the other voters reach this one.
      member.client_urls =
          node::AdvertisedUrls(options_.flags.advertise_client_urls, ListeningUrls(), voter.host);
    }
    members.push_back(std::move(member));
  }
  return members;
}

std::vector<api::Url> Voter::ListeningUrls() const {
  std::vector<api::Url> urls;
  for (const api::ListenUrl& listen : options_.flags.listen_client_urls) urls.push_back(listen.url);
  return urls;
}

void Voter::Wire(raft::BootState boot, std::unique_ptr<mvcc::Store> store,
                 std::unique_ptr<wal::Wal> wal) {
  node::StoreTier::Options options;
  options.flags = options_.flags;
  options.listen_peer_urls = options_.listen_peer_urls;
  options.limits = options_.flags.limits;
  options.hello.cluster_id = cluster_.id;
  options.hello.node_id = cluster_.self.value();
  options.hello.boot_nonce = boot_nonce_;
  options.hello.directory_id = directories_.own();
  options.hello.role = io::ProcessRole::kVoter;
  options.core.gate.boot_nonce = boot_nonce_;
  options.core.gate.gap_max = runtime_.one_loop() ? 0 : 500;
  options.core.gate.refresh_interval = 0;  // until the first TickRegistry
  options.core.gate.election_timeout = options_.election_timeout;
  options.tuning = options_.tuning;
  options.core.flush_interval = options_.tuning.flush_interval;
  options.core.flush_bytes = options_.tuning.flush_bytes;
  options.core.waiting_bytes_max = options_.tuning.unapplied_bytes;
  options.core.stall_max = options_.election_timeout;
  options.core.tail.cluster_id = cluster_.id;
  options.core.tail.window_bytes = options_.tuning.tail_window_bytes;
  options.core.tail.self = cluster_.self;
  options.core.tail.reads_wal = true;
  options.core.tail.state_interval = options_.heartbeat_interval;
  options.accept_raft = [this](const io::Hello& hello) {
    return peers_->AcceptFrom(NodeId(hello.node_id));
  };
  tier_ = std::make_unique<node::StoreTier>(runtime_, std::move(store), std::move(options));
  tier_->SetStaticMembers(StaticMembers());
  WireRaft(std::move(boot), std::move(wal));
  WireCore();
}

void Voter::WireRaft(raft::BootState boot, std::unique_ptr<wal::Wal> wal) {
  io::Loop& loop = runtime_.core();
  Rng rng(runtime_.host().RandomId());
  peers_ = std::make_unique<Peers>(
      loop, tier_->transport(), cluster_.Others(),
      Peers::Hooks{[this](NodeId from, raft::Message message) {
                     driver_->Input(raft::Received{from, std::move(message)});
                   },
                   [this](NodeId peer) { driver_->Input(raft::PeerGone{peer}); },
                   [this](io::Connection& connection) { GreetPeer(connection); },
                   [this](const PeerAddress& peer, const io::Frame& frame) {
                     return OnGreeted(peer, frame);
                   }},
      Rng(rng.Next()));
  leader_link_ = std::make_unique<LeaderLink>(
      loop, tier_->transport(), cluster_.self,
      LeaderLink::Hooks{
          [this](replica::ReadGate::Input input) { tier_->core().Gate(std::move(input)); },
          [this](std::uint64_t id) { driver_->Input(raft::ReadIndexRequest{id}); },
          [this] { renewer_->UpstreamChanged(runtime_.core().now()); }},
      Rng(rng.Next()));
  proposals_ = std::make_unique<Proposals>(
      runtime_.io_count(), [this](int io, std::vector<node::WriteOutcome> outcomes) {
        tier_->core().SendOutcomes(io, std::move(outcomes));
      });
  raft::Config config;
  config.id = cluster_.self;
  config.heartbeat_interval = options_.heartbeat_interval;
  config.election_timeout = options_.election_timeout;
  config.window_bytes_max = options_.raft_window_bytes;
  auto core = std::make_unique<raft::Core>(config, boot, Rng(rng.Next()), loop.Refresh());
  RaftDriver::Hooks hooks;
  hooks.send = [this](NodeId to, const raft::Message& message) { peers_->Send(to, message); };
  hooks.apply = [this](std::span<const EntryPtr> entries) { OnApplied(entries); };
  hooks.proposed = [this](const raft::ProposeResult& result) { proposals_->Proposed(result); };
  hooks.appended = [this](std::span<const EntryPtr> entries) { proposals_->Appended(entries); };
  hooks.read_ready = [this](std::uint64_t id, Index index) {
    tier_->core().Gate(replica::ReadGate::UpstreamAnswer{id, index});
  };
  hooks.read_refused = [this](std::uint64_t id) {
    tier_->core().Gate(replica::ReadGate::UpstreamRefused{id});
  };
  hooks.changed = [this](const raft::Status& status) { OnRaftChanged(status); };
  hooks.turn_done = [this] { proposals_->Flush(); };
  hooks.end_process = [this](int code) { runtime_.host().EndProcess(code); };
  RaftDriver::Options driver;
  driver.sync_place.always_apart = runtime_.threads() > 2;
  driver.resign_after = options_.election_timeout;
  driver_ = std::make_unique<RaftDriver>(loop, runtime_.host(), driver, std::move(core),
                                         std::move(wal), std::move(hooks));
}

void Voter::GreetPeer(io::Connection& connection) {
  Greet(directories_, connection);
  if (!directories_.in_doubt()) return;
  COPPICE_LOG(kError, "{} cannot be synced, so this voter ends: mend the disk, then start it again",
              Directories::FileIn(options_.data_dir + "/member"));
  runtime_.host().EndProcess(EX_IOERR);
}

// It was admitted with this directory: that another one is known can only be where more voters have
// lost their disks than may.
bool Voter::OnGreeted(const PeerAddress& peer, const io::Frame& frame) {
  const auto known_as = ReadKnownAs(frame);
  if (!known_as || *known_as == directories_.own()) return known_as.has_value();
  COPPICE_LOG(
      kError,
      "voter {} knows this voter by another data directory and does not listen to it: one of "
      "the two belongs to an earlier cluster at these addresses",
      peer.name);
  return false;
}

void Voter::WireCore() {
  node::ReplicaCore& core = tier_->core();
  keeper_ = std::make_unique<replica::RegistryKeeper>(core.registry());
  renewer_ = std::make_unique<replica::RegistryRenewer>(core.registry());
  replica::Registration own;
  for (const replica::Registration& member : StaticMembers()) {
    if (member.id == cluster_.self) own = member;
  }
  own.boot = boot_time_;
  own.ttl = kVoterTtl;
  renewer_->SetOwn(own);
  node::ReplicaCore::Hooks hooks;
  hooks.rounds = leader_link_.get();
  hooks.move_leader = [this](NodeId to) { driver_->Input(raft::TransferLeadership{to}); };
  hooks.propose = [this](int loop, std::vector<node::WriteIntent> intents) {
    Propose(loop, std::move(intents));
  };
  hooks.applied = [this](std::span<const EntryPtr> entries, mvcc::ApplyOutput& out) {
    proposals_->Applied(entries, out);
  };
  hooks.read_log = [this](Index from, Index to, std::size_t bytes_max) {
    return ReadLog(from, to, bytes_max);
  };
  hooks.waiting_applied = [this] { proposals_->Flush(); };
  hooks.renewals = [this](const replica::RenewBundle& bundle) { OnRenewals(bundle); };
  hooks.registry_changed = [this] { UpdateFacts(); };
  core.SetHooks(std::move(hooks));
  node::TailServer::Hooks tail;
  tail.round = [&core](std::uint64_t child, std::uint64_t id, bool relaxed) {
    core.Gate(replica::ReadGate::ChildRound{child, id, relaxed});
  };
  tail.gone = [&core](std::uint64_t child) { core.Gate(replica::ReadGate::ChildGone{child}); };
  tail.renewals = [this](const replica::RenewBundle& bundle) { OnRenewals(bundle); };
  tail.read_wal = [this](Index from, Index to, std::size_t bytes_max) {
    auto entries = ReadLog(from, to, bytes_max);
    if (!entries.ok()) {
      COPPICE_LOG(kError, "cannot read the log for a learner: {}", MessageOf(entries.status()));
    }
    return entries;
  };
  tail.first_in_wal = [this] { return driver_->wal().first_index(); };
  core.tail().SetHooks(std::move(tail));
}

void Voter::Start() {
  runtime_.core().Post([this] {
    tier_->Start();
    tier_->core().tail().Input(replica::TailSource::PathChanged{{cluster_.self}, true});
    tier_->UpdateFacts([this](node::Facts& facts) {
      facts.cluster_id = cluster_.id;
      facts.node = cluster_.self;
    });
    peers_->Start();
    driver_->Start();
    TickRegistry();
    CheckSpace();
  });
}

Status Voter::Run() {
  Start();
  runtime_.Run([this] { Shutdown(); });
  return Finish();
}

void Voter::Shutdown() {
  if (driver_->status().role == raft::Role::kLeader) {
    driver_->Input(raft::ResignLeadership{});
  }
  tier_->Shutdown();
}

Status Voter::Finish() {
  peers_->Stop();
  leader_link_->Stop();
  return tier_->Close();
}

void Voter::OnRaftChanged(const raft::Status& status) {
  const bool leads = status.role == raft::Role::kLeader;
  const bool knows_leader = status.leader != NodeId();
  const bool ready = IsReady();
  const node::Facts& before = tier_->facts();
  // Most often only the commit index has moved, which nobody is told of.
  if (before.leader == status.leader && before.is_leader == leads && before.term == status.term &&
      before.confirmed == knows_leader && before.ready == ready) {
    return;
  }
  if (before.leader != status.leader || before.is_leader != leads) {
    leader_link_->SetLeader(
        status.leader, status.leader == cluster_.self ? nullptr : cluster_.Find(status.leader));
    if (leads) {
      keeper_->BecomeLeader(runtime_.core().now());
      renewer_->UpstreamChanged(runtime_.core().now());
      COPPICE_LOG(kInfo, "became leader at term {}", status.term.value());
    } else {
      keeper_->StepDown();
      COPPICE_LOG(kInfo, "leader is {:x} at term {}", status.leader.value(), status.term.value());
    }
  }
  UpdateFacts();
  tier_->core().tail().Input(replica::TailSource::LeaderIs{status.leader, status.term});
  TellTailSource();
}

// Once there is a leader and the cluster knows this voter's addresses: a client that then asks any
// node for the members finds it.
bool Voter::IsReady() const {
  return driver_->status().leader != NodeId() &&
         tier_->core().registry().Find(cluster_.self) != nullptr && !tier_->core().stuck() &&
         !tier_->core().behind();
}

void Voter::UpdateFacts() {
  const raft::Status& status = driver_->status();
  const bool ready = IsReady();
  tier_->UpdateFacts([&](node::Facts& facts) {
    facts.leader = status.leader;
    facts.is_leader = status.role == raft::Role::kLeader;
    facts.confirmed = status.leader != NodeId();
    facts.term = status.term;
    facts.commit = status.commit;
    facts.known_commit = status.commit;
    facts.ready = ready;
  });
  if (tier_->facts().ready && !std::exchange(said_ready_, true)) {
    COPPICE_LOG(kInfo, "ready to serve client requests");
  }
}

void Voter::TellTailSource() {
  replica::TailSource::LeaderChanged changed;
  changed.leader = driver_ != nullptr && driver_->status().role == raft::Role::kLeader;
  for (const PeerAddress& voter : cluster_.Others()) {
    if (!peers_->Connected(voter.id)) continue;
    changed.followers.push_back(api::Url{voter.host, voter.port}.ToString());
  }
  tier_->core().tail().Input(std::move(changed));
}

void Voter::OnApplied(std::span<const EntryPtr> entries) {
  tier_->core().tail().Input(replica::TailSource::Committed{{entries.begin(), entries.end()}});
  tier_->core().Apply(entries);
}

StatusOr<std::vector<EntryPtr>> Voter::ReadLog(Index from, Index to, std::size_t bytes_max) const {
  std::vector<EntryPtr> entries;
  COPPICE_RETURN_IF_ERROR(driver_->wal().Read(from, to, bytes_max, entries));
  return entries;
}

void Voter::Propose(int loop, std::vector<node::WriteIntent> intents) {
  bool refused = false;
  // What was committed now would wait for all that waits already.
  const bool stuck = tier_->core().stuck() || tier_->core().behind();
  for (node::WriteIntent& intent : intents) {
    raft::Proposal proposal;
    proposal.token = proposals_->Add(loop, intent.token);
    proposal.payload = std::move(intent.payload);
    proposal.payload_crc = intent.payload_crc;
    const std::uint64_t token = proposal.token;
    if (!stuck && driver_->Propose(std::move(proposal))) continue;
    proposals_->Proposed({token, raft::Busy{}});
    refused = true;
  }
  if (refused) proposals_->Flush();
}

void Voter::ProposeRegistry(std::vector<std::string> payloads) {
  // The registry does not know yet what was proposed before.
  if (tier_->core().behind()) return;
  for (std::string& payload : payloads) {
    raft::Proposal proposal;
    proposal.token = kNoToken;
    proposal.kind = RecordKind::kRegistry;
    proposal.payload_crc = Entry::PayloadCrc(payload);
    proposal.payload = std::move(payload);
    if (!driver_->Propose(std::move(proposal))) return;  // the next renewal brings it again
  }
}

void Voter::OnRenewals(const replica::RenewBundle& bundle) {
  if (!keeper_->leading()) return renewer_->Received(runtime_.core().now(), bundle);
  std::vector<std::string> payloads;
  keeper_->Received(runtime_.core().now(), bundle, payloads);
  ProposeRegistry(std::move(payloads));
}

void Voter::TickRegistry() {
  const Time now = runtime_.core().now();
  const replica::RenewBundle bundle = renewer_->Take(now);
  if (!bundle.empty()) {
    keeper_->leading() ? OnRenewals(bundle) : leader_link_->SendRenewals(bundle);
  }
  std::vector<std::string> payloads;
  keeper_->Expire(now, payloads);
  ProposeRegistry(std::move(payloads));
  TellTailSource();
  if (tier_->core().stuck() && driver_->status().role == raft::Role::kLeader) {
    driver_->Input(raft::ResignLeadership{});
  }
  // Entries may be applied in a turn in which nothing else changed: nobody else would say so, nor
  // why one that is not ready is not.
  if (!IsReady() || !tier_->facts().ready) UpdateFacts();
  // Learners are to be fresh at any time. A voter by itself asks when it has reads, and else just
  // often enough for its staleness to mean something to who looks at it.
  const bool has_children = tier_->core().tail().learners() > 0;
  tier_->core().Gate(replica::ReadGate::SetRefresh{has_children ? kRefresh : kRefreshAlone});
  runtime_.core().RunAt(now + kRegistryTick, [this] { TickRegistry(); });
}

// Raises the replicated NOSPACE alarm before the disk is full or the quota passed; it stays until
// an operator clears it, as in etcd.
void Voter::CheckSpace() {
  // Log and store may be on file systems of their own.
  std::uint64_t free_bytes = UINT64_MAX;
  for (const char* part : {"/member/wal", "/member/store"}) {
    const auto free_here = storage_.disk->FreeBytes(options_.data_dir + part);
    if (free_here.ok()) free_bytes = std::min(free_bytes, *free_here);
  }
  const std::uint64_t quota = options_.quota_bytes == 0 ? 2ULL << 30 : options_.quota_bytes;
  const bool full = free_bytes < kDiskReserve || tier_->core().store().DiskBytes() > quota;
  const bool raised = tier_->core().store().AlarmActive(mvcc::AlarmType::kNoSpace);
  if (full && !raised && driver_->status().role == raft::Role::kLeader) {
    COPPICE_LOG(kWarn,
                "raising the NOSPACE alarm: the store has {} bytes of a quota of {}, the disk "
                "{} bytes free. Compact, delete, then clear it with `alarm disarm`",
                tier_->core().store().DiskBytes(), quota, free_bytes);
    mvcc::AlarmOp op;
    op.activate = true;
    op.member = cluster_.self;
    op.type = mvcc::AlarmType::kNoSpace;
    raft::Proposal proposal;
    proposal.token = kNoToken;
    proposal.payload = mvcc::EncodeCommand(mvcc::Command(op));
    proposal.payload_crc = Entry::PayloadCrc(proposal.payload);
    if (!driver_->Propose(std::move(proposal)))
      COPPICE_LOG(kWarn, "the alarm waits: too much does");
  }
  runtime_.core().RunAt(runtime_.core().now() + kSecond, [this] { CheckSpace(); });
}

}  // namespace coppice::voter
