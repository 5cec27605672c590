#include "loadgen/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/api/methods.h"
#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/base/log.h"

namespace coppice::sim {
namespace {

constexpr Micros kLook = 100 * kMillisecond;
constexpr Micros kRestartPause = 500 * kMillisecond;
constexpr std::uint64_t kSucceededMin = 100;

// The log of the processes, while a trace is written. The sink is a plain function.
const Fabric* g_traced = nullptr;

void LogToTrace(LogLevel level, std::string_view message) {
  if (g_traced == nullptr) return;
  constexpr const char* kLevels[] = {"debug", "info", "warn", "error"};
  fmt::print(g_traced->trace.text, "{:.6f} {} {} {}\n",
             static_cast<double>(g_traced->scheduler.now()) / kSecond,
             g_traced->running == nullptr ? "-" : g_traced->running->name().c_str(),
             kLevels[static_cast<int>(level)], message);
}

}  // namespace

// Whoever runs the cluster: disarms alarms once their cause is gone.
class World::Operator final : public CallEvents {
 public:
  explicit Operator(ClientWorld& client) : client_(client) {}

  void Disarm(NodeId member, mvcc::AlarmType type) {
    if (call_ != nullptr) return;  // one at a time; it is asked again
    CallOptions options;
    options.path = "/etcdserverpb.Maintenance/Alarm";
    options.timeout = 2 * kSecond;
    const auto endpoints = client_.endpoints().size();
    call_ = client_.Open(static_cast<int>(next_++ % endpoints), options, *this);
    std::string request;
    PutIntField(request, 1, 2);  // DEACTIVATE
    PutIntField(request, 2, member.value());
    PutIntField(request, 3, static_cast<std::uint64_t>(type));
    call_->Send(std::move(request));
    call_->HalfClose();
  }
  void OnMessage(std::string_view /*message*/) override {}
  void OnEnd(const CallEnd& /*end*/) override { call_.reset(); }

 private:
  ClientWorld& client_;
  std::size_t next_ = 0;
  std::unique_ptr<Call> call_;
};

World::World(const Plan& plan, const RunOptions& options)
    : plan_(plan),
      options_(options),
      network_(scheduler_, trace_, coverage_, plan.seed),
      fabric_{scheduler_, network_, trace_, coverage_, plan.seed, {}, nullptr, nullptr},
      safety_(coverage_, violations_),
      durability_(violations_) {
  fabric_.raft_sent = [this](const std::string& from, NodeId to, std::string_view message) {
    durability_.Sent(from, to, message);
  };
  OpenTrace();
}

void World::OpenTrace() {
  constexpr auto kSilent = static_cast<LogLevel>(4);
  if (options_.trace_file.empty()) return SetLogSink(&LogToTrace, kSilent);
  trace_.text = options_.trace_file == "-" ? stdout : std::fopen(options_.trace_file.c_str(), "w");
  COPPICE_CHECK(trace_.text != nullptr, "the trace file can be written");
  g_traced = &fabric_;
  SetLogSink(&LogToTrace, LogLevel::kDebug);
}

World::~World() {
  if (trace_.text != nullptr) {
    g_traced = nullptr;
    if (trace_.text != stdout) std::fclose(trace_.text);
    trace_.text = nullptr;
  }
  faults_.reset();
  operator_.reset();
  workload_.reset();
  clients_.clear();
}

void World::AddMachine(Tier tier, const std::string& name, Machine::Names names) {
  const HostId host = network_.AddHost();
  fabric_.names[name] = host;
  Machine::Hooks hooks;
  hooks.after_turn = [this](Machine& machine) { AfterTurn(machine); };
  hooks.ended = [this](Machine& machine) { StartLater(machine, kRestartPause); };
  hooks.refused = [this](Machine& machine, const Status& status) { Refused(machine, status); };
  hooks.ending = [this](Machine& machine) { Ending(machine); };
  machines_.push_back(std::make_unique<Machine>(fabric_, plan_, tier, name, host, std::move(names),
                                                std::move(hooks)));
  endpoints_.push_back({name, tier});
}

void World::Build() {
  Machine::Names names;
  for (int i = 1; i <= plan_.voters; ++i) names.voters.push_back(fmt::format("v{}", i));
  for (const std::string& name : names.voters) AddMachine(Tier::kVoter, name, names);
  for (int i = 0; i < plan_.learners; ++i) {
    const int parent = plan_.learner_parents[static_cast<std::size_t>(i)];
    names.upstream = parent < 0 ? std::string() : fmt::format("l{}", parent + 1);
    AddMachine(Tier::kLearner, fmt::format("l{}", i + 1), names);
  }
  names.upstream.clear();
  for (int i = 1; i <= plan_.proxies; ++i) {
    AddMachine(Tier::kProxy, fmt::format("p{}", i), names);
  }
  AddClients();
  const int hosts = network_.hosts();
  for (HostId a = 0; a < hosts; ++a) {
    for (HostId b = 0; b < hosts; ++b) {
      Network::Way& way = network_.way(a, b);
      way.latency = plan_.latency;
      way.jitter = plan_.jitter;
    }
  }
}

void World::AddClients() {
  std::vector<SimClient::Address> addresses;
  for (const auto& machine : machines_) addresses.push_back({machine->host(), kClientPort});
  for (int i = 0; i <= plan_.clients; ++i) {
    SimClient::Options options;
    options.index = i;
    options.host = network_.AddHost();
    options.clock_start = plan_.ClockOf(options.host).start;
    options.clock_ppm = plan_.ClockOf(options.host).ppm;
    clients_.push_back(std::make_unique<SimClient>(fabric_, options, endpoints_, addresses));
  }
  operator_ = std::make_unique<Operator>(*clients_.back());
}

RunResult World::Run() {
  Build();
  Rng rng(plan_.seed, 0x57a47);
  for (const auto& machine : machines_) {
    scheduler_.After(rng.Between(0, 200 * kMillisecond),
                     [&machine = *machine] { machine.Start(); });
  }
  WorkloadOptions options;
  options.seed = plan_.seed;
  options.clients = plan_.clients;
  options.voters = plan_.voters;
  options.learners = plan_.learners;
  options.proxies = plan_.proxies;
  options.operations_per_second = plan_.operations_per_second;
  options.stalled_watchers = plan_.stalled_watchers;
  options.operations_max = options_.operations_max;
  workload_ = MakeWorkload(options);
  std::vector<ClientWorld*> clients;
  for (int i = 0; i < plan_.clients; ++i) {
    clients.push_back(clients_[static_cast<std::size_t>(i)].get());
  }
  faults_ = std::make_unique<Faults>(*this);

  const Time start = scheduler_.now();
  workload_->OnPhase(Phase::kWarmUp);
  workload_->Start(clients);
  RunUntil(start + plan_.warm_up);
  workload_->OnPhase(Phase::kFaults);
  faults_->Start();
  RunUntil(start + plan_.warm_up + plan_.faults_for);
  Heal();
  workload_->OnPhase(Phase::kHealed);
  RunUntil(start + plan_.warm_up + plan_.faults_for + plan_.healed_for);
  workload_->OnPhase(Phase::kSettling);
  RunResult result;
  if (!failed()) Settle();
  Finish(result);
  return result;
}

void World::RunUntil(Time until) {
  while (scheduler_.now() < until && !failed()) {
    const Time look = std::min(until, scheduler_.now() + kLook);
    while (scheduler_.RunNext(look)) {
    }
  }
}

bool World::Settle() {
  const Time deadline = scheduler_.now() + plan_.settle_max;
  while (scheduler_.now() < deadline && !failed()) {
    DisarmAlarms();
    RunUntil(scheduler_.now() + kLook);
    if (workload_->Settled() && Converged(nullptr)) return true;
  }
  if (failed()) return false;
  std::string why;
  if (!workload_->Settled()) {
    why = workload_->Unsettled();
  } else {
    Converged(&why);
  }
  Violated("Liveness", fmt::format("{} s after everything was healed: {}",
                                   (plan_.settle_max + plan_.healed_for) / kSecond, why));
  return false;
}

// Every store that can be there is, is ready, and is the same.
bool World::Converged(std::string* why) {
  const StoreState* first = nullptr;
  const Aftermath now = Gather();
  for (const auto& machine : machines_) {
    if (machine->damaged) continue;
    if (!machine->up() ||
        (machine->tier() != Tier::kProxy && machine->tier_of_store() == nullptr)) {
      if (why != nullptr) *why = machine->name() + " does not run";
      return false;
    }
    node::StoreTier* const tier = machine->tier_of_store();
    if (tier != nullptr && !tier->facts().ready) {
      if (why != nullptr) *why = machine->name() + " is not ready";
      return false;
    }
  }
  for (const StoreState& store : now.stores) {
    if (first == nullptr) first = &store;
    if (store.applied == first->applied && store.hash == first->hash) continue;
    if (why != nullptr) {
      *why = fmt::format(
          "{} has applied {} (revision {}, hash {:08x}), {} {} (revision {}, hash "
          "{:08x})",
          first->name, first->applied.value(), first->revision, first->hash, store.name,
          store.applied.value(), store.revision, store.hash);
    }
    return false;
  }
  if (first != nullptr && first->applied >= safety_.highest_commit()) return true;
  if (why != nullptr) *why = "committed entries are not applied";
  return false;
}

void World::Heal() {
  healed_ = true;
  faults_->Stop();
  network_.Heal();
  for (const auto& machine : machines_) {
    machine->disk().memory().ClearFaults();
    machine->disk().memory().SetCapacity(UINT64_MAX);
    machine->disk().SetSyncTime(50, 500);
    machine->disk().DieAt(0);
    machine->SetStoreFailure(OkStatus());
    machine->clock().SetRate(plan_.ClockOf(machine->host()).ppm);
    if (machine->up()) machine->process()->ClockChanged();
    if (!machine->up()) StartLater(*machine, kRestartPause);
  }
}

void World::DisarmAlarms() {
  for (const auto& machine : machines_) {
    node::StoreTier* const tier = machine->tier_of_store();
    if (tier == nullptr) continue;
    for (const auto& [member, type] : tier->core().store().Alarms()) {
      coverage_.Add("alarms-disarmed");
      return operator_->Disarm(member, type);
    }
  }
}

void World::StartLater(Machine& machine, Micros pause) {
  scheduler_.After(pause, [this, &machine] {
    if (machine.up()) return;
    machine.Start();
    if (machine.voter() != nullptr) durability_.Started(machine.name(), *machine.voter());
    node::StoreTier* const tier = machine.tier_of_store();
    if (tier == nullptr) return;
    if (machine.voter() != nullptr && machine.voter()->recovered().torn_bytes_cut > 0) {
      coverage_.Add("torn-tails");
    }
    const auto was = applied_at_end_.find(machine.name());
    if (was != applied_at_end_.end() && tier->core().applied() < was->second) {
      coverage_.Add("stores-fell-back-to-their-last-flush");
    }
  });
}

void World::Kill(Machine& machine, bool power_loss, Rng& rng) {
  if (machine.voter() != nullptr) durability_.Killing(machine.name(), *machine.voter());
  const auto before =
      power_loss ? machine.disk().memory().Image() : std::map<std::string, std::string>();
  machine.Kill(power_loss, rng);
  if (power_loss && machine.disk().memory().Image() != before) {
    coverage_.Add("power-losses-that-lost-writes");
  }
}

int World::lost_voters() const {
  int lost = 0;
  for (const auto& machine : machines_) {
    if (machine->tier() == Tier::kVoter && machine->damaged) ++lost;
  }
  return lost;
}

void World::AfterTurn(Machine& machine) {
  if (voter::Voter* const voter = machine.voter()) {
    if (machine.amnesiac && !failed()) {
      Violated("Amnesia",
               fmt::format("{} takes part again without what it had promised", machine.name()));
    }
    safety_.Observe(machine.name(), *voter);
    durability_.Turned(machine.name(), *voter);
    if (voter->tier().core().behind()) coverage_.Add("entries-left-in-the-log");
    if (safety_.leader() != term_leader_) {
      term_leader_ = safety_.leader();
      for (const auto& other : machines_) {
        node::StoreTier* const tier = other->tier_of_store();
        if (tier != nullptr && tier->core().gate().rounds_out() > 0) {
          coverage_.Add("leader-changes-with-reads-in-flight");
          break;
        }
      }
    }
    return;
  }
  if (learner::Learner* const learner = machine.learner()) {
    std::string& upstream = upstreams_[machine.name()];
    const std::string now = learner->tail().sink().upstream_address();
    if (now == upstream || now.empty()) return;
    if (!upstream.empty()) coverage_.Add("relay-switches");
    upstream = now;
  }
}

void World::Ending(Machine& machine) {
  if (node::StoreTier* const tier = machine.tier_of_store()) {
    applied_at_end_[machine.name()] = tier->core().applied();
    if (machine.voter() != nullptr) durability_.Ending(machine.name(), tier->core().applied());
  }
  if (machine.voter() != nullptr) safety_.Restarted(machine.name());
  if (proxy::Proxy* const proxy = machine.proxy()) {
    const metrics::Registry& metrics = proxy->metrics();
    coverage_.Add("reads-coalesced-by-a-proxy", metrics.Total("coppice_proxy_coalesced_total"));
    coverage_.Add("requests-retried-by-a-proxy", metrics.Total("coppice_proxy_retried_total"));
    coverage_.Add("outcomes-unknown-to-a-proxy",
                  metrics.Total("coppice_proxy_outcome_unknown_total"));
  }
}

void World::Refused(Machine& machine, const Status& status) {
  const bool disk_fault = plan_.Has(FaultKind::kDiskError) || plan_.Has(FaultKind::kDiskFull);
  const bool damage = status.code() == StatusCode::kDataLoss;
  if (machine.damaged && damage) {
    coverage_.Add("damaged-logs-refused");
    return;
  }
  if (machine.amnesiac && status.code() == StatusCode::kFailedPrecondition) {
    coverage_.Add("wiped-voters-refused");
    const std::map<std::string, std::string> left = machine.disk().memory().Image();
    if (!left.empty()) {
      Violated("Start",
               fmt::format("{} was refused and has left {}", machine.name(), left.begin()->first));
    }
    return;
  }
  if (!damage && (disk_fault || status.code() == StatusCode::kUnavailable)) {
    return StartLater(machine, kRestartPause);
  }
  Violated("Start", fmt::format("{} does not start: {}", machine.name(), MessageOf(status)));
}

void World::Violated(std::string property, std::string what) {
  violations_.push_back({std::move(property), std::move(what)});
}

Aftermath World::Gather() {
  Aftermath out;
  out.delivery_max = plan_.DeliveryMax();
  for (const auto& machine : machines_) {
    const double rate = static_cast<double>(plan_.ClockOf(machine->host()).ppm) / 1e6;
    const bool drifts = plan_.Has(FaultKind::kClockRate);
    const double skew = static_cast<double>(plan_.rate_skew) / 1e6;
    out.clock_rate_min = std::min(out.clock_rate_min, drifts ? 1 - skew : rate);
    out.clock_rate_max = std::max(out.clock_rate_max, drifts ? 1 + skew : rate);
    node::StoreTier* const tier = machine->tier_of_store();
    if (tier == nullptr) continue;
    const mvcc::Store& store = tier->core().store();
    StoreState state;
    state.name = machine->name();
    state.tier = machine->tier();
    state.id = tier->facts().node;
    state.applied = tier->core().applied();
    const mvcc::ReadView& view = store.View(0);
    state.revision = view.revision;
    store.HashKv(0, state.hash, state.compact_revision);
    tier->core().store().Quiesce(0, true);
    out.stores.push_back(std::move(state));
  }
  return out;
}

void World::Finish(RunResult& result) {
  if (violations_.empty()) {
    Aftermath aftermath = Gather();
    for (const auto& machine : machines_) {
      voter::Voter* const voter = machine->voter();
      if (voter == nullptr) continue;
      VoterLog log;
      log.name = machine->name();
      const Index commit = voter->driver().status().commit;
      log.first = voter->driver().wal().first_index();
      for (Index next = log.first; next <= commit;) {
        std::vector<EntryPtr> part;
        const Status status = voter->driver().wal().Read(next, commit, 1U << 20, part);
        if (!status.ok() || part.empty()) {
          Violated("Log", fmt::format("{}: entry {} cannot be read: {}", log.name, next.value(),
                                      MessageOf(status)));
          break;
        }
        next = part.back()->index() + 1;
        log.entries.insert(log.entries.end(), part.begin(), part.end());
      }
      aftermath.logs.push_back(std::move(log));
    }
    std::stable_sort(
        aftermath.logs.begin(), aftermath.logs.end(),
        [](const auto& a, const auto& b) { return a.entries.size() > b.entries.size(); });
    for (Violation& violation : workload_->Check(aftermath)) {
      violations_.push_back(std::move(violation));
    }
  }
  workload_->Count(coverage_);
  result.succeeded = workload_->Succeeded();
  trace_.Add(0xd19e57, workload_->Digest(), scheduler_.events());
  result.trace_hash = trace_.hash();
  result.events = scheduler_.events();
  result.valid = result.succeeded >= kSucceededMin;
  for (const auto& machine : machines_) {
    Rng rng(plan_.seed, 0xe4d);
    machine->Kill(false, rng);
  }
  result.violations = violations_;
  result.coverage = coverage_;
  result.plan = plan_.ToString();
}

RunResult RunSeed(const RunOptions& options) {
  PlanChanges changes;
  changes.fault_kinds_off = options.fault_kinds_off;
  changes.voters = options.voters;
  changes.learners = options.learners;
  changes.proxies = options.proxies;
  changes.clients = options.clients;
  Plan plan = MakePlan(options.seed, changes);
  if (options.bias != nullptr) options.bias(plan);
  return World(plan, options).Run();
}

}  // namespace coppice::sim
