#include "common/raft/sim_cluster.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/check.h"

namespace coppice::raft {

SimCluster::SimCluster(std::uint64_t seed, int nodes, Micros election_timeout, double skew,
                       std::size_t append_bytes_max)
    : election_timeout_(election_timeout), append_bytes_max_(append_bytes_max), rng_(seed) {
  for (int i = 0; i < nodes; ++i) configurations_[Index(0)].voters.push_back(Id(i));
  nodes_.resize(static_cast<std::size_t>(nodes));
  for (Node& node : nodes_) node.rate = std::pow(skew, 2 * rng_.Unit() - 1);
  for (int i = 0; i < nodes; ++i) Restart(i);
}

void SimCluster::At(Time when, std::function<void()> run) {
  events_.push({when, sequence_++, std::move(run)});
}

void SimCluster::OnNode(int node, Micros delay, std::function<void()> run) {
  At(now_ + delay, [this, node, life = at(node).life, run = std::move(run)] {
    if (at(node).core != nullptr && at(node).life == life) run();
  });
}

void SimCluster::RunUntil(Time until) {
  while (!events_.empty() && events_.top().at <= until) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    event.run();
  }
  now_ = until;
}

void SimCluster::Disk::Apply(const Write& write) {
  if (write.hard_state) hard_state = *write.hard_state;
  if (write.entries.empty()) return;
  const Index first = write.entries.front()->index();
  COPPICE_CHECK(first > base && first <= base + log.size() + 1, "a log on disk has no gaps");
  log.resize(first - base - 1);
  log.insert(log.end(), write.entries.begin(), write.entries.end());
}

void SimCluster::Crash(int node) {
  Node& n = at(node);
  // Some of what was written may have reached the disk before the crash.
  const std::size_t survive = rng_.Below(n.unsynced.size() + 1);
  for (std::size_t i = 0; i < survive; ++i) n.disk.Apply(n.unsynced[i].first);
  n.unsynced.clear();
  n.syncing = n.fetching = n.in_turn = false;
  n.turn.Clear();
  n.core.reset();
  ++n.life;
  n.state.resize(n.flushed.value());
}

BootState SimCluster::Boot(const Node& node) const {
  BootState boot;
  boot.hard_state = node.disk.hard_state;
  boot.configuration = ConfigurationAt(node.flushed);
  boot.snapshot_index = node.disk.base;
  boot.snapshot_term = node.disk.base_term;
  boot.last_index = node.disk.base + node.disk.log.size();
  boot.applied = node.flushed;
  for (const EntryPtr& entry : node.disk.log) {
    if (boot.terms.empty() || boot.terms.back().term != entry->term()) {
      boot.terms.push_back({entry->index(), entry->term()});
    }
    if (entry->index() > boot.applied) boot.window.push_back(entry);
  }
  return boot;
}

void SimCluster::Restart(int node) {
  Node& n = at(node);
  Config config;
  config.id = Id(node);
  config.election_timeout = election_timeout_;
  config.heartbeat_interval = election_timeout_ / 10;
  config.window_bytes_max = 2000;
  config.append_bytes_max = append_bytes_max_;
  n.timer = kNever;
  n.core = std::make_unique<Core>(config, Boot(n), Rng(rng_.Next()), LocalTime(n));
  ArmTimer(node);
}

void SimCluster::Partition(std::set<int> side) {
  for (int a = 0; a < size(); ++a) {
    for (int b = 0; b < size(); ++b) {
      if (side.contains(a) != side.contains(b)) cut_.emplace(a, b);
    }
  }
}

void SimCluster::CutOneWay(int from, int to) {
  cut_.emplace(from, to);
}

void SimCluster::HealNetwork() {
  cut_.clear();
}

void SimCluster::Step(int node, Input input) {
  Node& n = at(node);
  if (n.core == nullptr) return;
  if (!n.in_turn) {
    n.in_turn = true;
    n.before = n.core->status();
    OnNode(node, rng_.Between(0, faults_.turn_max), [this, node] { EndTurn(node); });
  }
  n.core->Step(LocalTime(n), std::move(input), n.turn);
  ArmTimer(node);
}

void SimCluster::EndTurn(int node) {
  Node& n = at(node);
  if (!n.in_turn) return;
  n.in_turn = false;
  const Output out = std::exchange(n.turn, {});
  safety_.Stepped(Id(node), n.before, *n.core, out);
  Perform(node, out);
}

const Configuration& SimCluster::ConfigurationAt(Index index) const {
  return std::prev(configurations_.upper_bound(index))->second;
}

void SimCluster::Perform(int node, const Output& out) {
  Node& n = at(node);
  ApplyEntries(node, out);
  for (const Outbound& outbound : out.send_now) Send(node, outbound);
  if (out.needs_sync()) {
    n.unsynced.push_back({Write{out.hard_state, out.append}, out.send_after_durable});
    Sync(node);
  } else {
    for (const Outbound& outbound : out.send_after_durable) Send(node, outbound);
  }
  for (const ReadLog& wanted : out.read_log) ReadFromDisk(node, wanted);
  if (out.fetch_snapshot) Fetch(node, *out.fetch_snapshot);
}

void SimCluster::ApplyEntries(int node, const Output& out) {
  Node& n = at(node);
  for (const EntryPtr& entry : out.apply) {
    COPPICE_CHECK(entry->index().value() == n.state.size() + 1, "applied once, in order");
    n.state.emplace_back(entry->payload());
    if (entry->kind() == RecordKind::kConfiguration) {
      COPPICE_CHECK(DecodeConfiguration(entry->payload(), configurations_[entry->index()]));
    }
  }
  if (out.apply.empty()) return;
  const Index applied = out.apply.back()->index();
  OnNode(node, rng_.Between(0, kMillisecond), [this, node, applied] {
    if (rng_.Chance(0.2)) at(node).flushed = std::max(at(node).flushed, applied);
    Step(node, Applied{applied});
  });
}

void SimCluster::Send(int from, const Outbound& outbound) {
  const int to = IndexOf(outbound.to);
  if (cut_.contains({from, to}) || rng_.Chance(faults_.drop)) return;
  // Through the codec, as between processes.
  const std::string bytes = EncodeMessage(outbound.message);
  const int copies = rng_.Chance(faults_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    At(now_ + rng_.Between(50, faults_.delay_max), [this, from, to, bytes] {
      if (cut_.contains({from, to})) return;
      Message message;
      COPPICE_CHECK(DecodeMessage(bytes, message));
      Step(to, Received{Id(from), std::move(message)});
    });
  }
}

void SimCluster::Sync(int node) {
  if (at(node).syncing) return;
  at(node).syncing = true;
  const std::size_t covered = at(node).unsynced.size();
  OnNode(node, rng_.Between(50, faults_.sync_max), [this, node, covered] {
    Node& n = at(node);
    std::optional<Appended> appended;
    std::vector<Outbound> sends;
    for (std::size_t i = 0; i < covered; ++i) {
      const auto& [write, after] = n.unsynced[i];
      n.disk.Apply(write);
      sends.insert(sends.end(), after.begin(), after.end());
      if (!write.entries.empty()) {
        appended = Appended{write.entries.back()->term(), write.entries.back()->index()};
      }
    }
    n.unsynced.erase(n.unsynced.begin(), n.unsynced.begin() + static_cast<std::ptrdiff_t>(covered));
    n.syncing = false;
    for (const Outbound& outbound : sends) Send(node, outbound);
    if (!n.unsynced.empty()) Sync(node);
    if (appended) Step(node, *appended);
  });
}

void SimCluster::ReadFromDisk(int node, const ReadLog& wanted) {
  OnNode(node, rng_.Between(50, kMillisecond), [this, node, wanted] {
    const Disk& disk = at(node).disk;
    EntriesRead read{wanted.peer, {}};
    std::size_t bytes = 0;
    for (const EntryPtr& entry : disk.log) {
      if (disk.base >= wanted.from || entry->index() < wanted.from) continue;
      bytes += entry->record().size();
      if (entry->index() > wanted.to || (bytes > wanted.bytes_max && !read.entries.empty())) break;
      read.entries.push_back(entry);
    }
    Step(node, read);
  });
}

void SimCluster::Fetch(int node, const FetchSnapshot& wanted) {
  if (at(node).fetching) return;
  at(node).fetching = true;
  const int from = IndexOf(wanted.from);
  OnNode(node, rng_.Between(kMillisecond, 50 * kMillisecond), [this, node, from, wanted] {
    Node& n = at(node);
    n.fetching = false;
    EndTurn(node);
    const Index index = Index(at(from).state.size());
    const bool reachable = up(from) && !cut_.contains({from, node});
    const Term term = reachable ? core(from).TermAt(index) : Term(0);
    if (term == Term(0) || index < wanted.index || !n.unsynced.empty() ||
        !n.core->WantsSnapshot(index, term)) {
      Step(node, SnapshotFailed{});
      return;
    }
    n.state = at(from).state;
    n.flushed = n.disk.base = index;
    n.disk.base_term = term;
    n.disk.log.clear();
    Step(node, SnapshotSaved{index, term, ConfigurationAt(index)});
  });
}

void SimCluster::CompactAt(int node) {
  Node& n = at(node);
  if (n.core == nullptr || n.flushed <= n.disk.base) return;
  const Index to = std::min(n.flushed, n.disk.base + n.disk.log.size());
  n.disk.base_term = n.disk.log[to - n.disk.base - 1]->term();
  n.disk.log.erase(n.disk.log.begin(),
                   n.disk.log.begin() + static_cast<std::ptrdiff_t>(to - n.disk.base));
  n.disk.base = to;
  Step(node, LogCompacted{to});
}

void SimCluster::ArmTimer(int node) {
  Node& n = at(node);
  const Time due = n.core->NextDeadline();
  if (due == n.timer) return;
  n.timer = due;
  if (due == kNever) return;
  // A little late, never early.
  const Time when = static_cast<Time>(static_cast<double>(due) / n.rate) + 2;
  At(std::max(when, now_), [this, node, due, life = n.life] {
    Node& timed = at(node);
    if (timed.core == nullptr || timed.life != life || timed.timer != due) return;
    timed.timer = kNever;
    Step(node, Timer{});
    COPPICE_CHECK(timed.core->NextDeadline() > LocalTime(timed),
                  "a timer that was handled is not due again");
  });
}

void SimCluster::ProposeAt(int node, int count) {
  Propose propose;
  for (int i = 0; i < count; ++i) {
    Proposal proposal;
    proposal.token = next_id_++;
    proposal.payload = "v" + std::to_string(proposal.token);
    proposal.payload_crc = Entry::PayloadCrc(proposal.payload);
    propose.proposals.push_back(std::move(proposal));
  }
  Step(node, std::move(propose));
}

std::uint64_t SimCluster::ReadAt(int node) {
  const std::uint64_t id = next_id_++;
  if (!up(node)) return id;
  safety_.ReadAsked(id);
  Step(node, ReadIndexRequest{id});
  return id;
}

int SimCluster::leader() const {
  int best = -1;
  for (int i = 0; i < size(); ++i) {
    if (!up(i) || core(i).status().role != Role::kLeader) continue;
    if (best < 0 || core(i).status().term > core(best).status().term) best = i;
  }
  return best;
}

}  // namespace coppice::raft
