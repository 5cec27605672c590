#include "common/raft/sim_nemesis.h"

#include <vector>

#include "common/raft/quorum.h"

namespace coppice::raft {
namespace {

// A leader that a change removes steps down, and the election after it takes two timeouts of up to
// 1 s on clocks that are up to four times too slow; now and then another one, when votes split.
constexpr Micros kSettleMin = 4 * kSecond;
constexpr Micros kSettleMax = 16 * kSecond;

void Settle(SimCluster& cluster) {
  const Time until = cluster.now() + kSettleMax;
  cluster.RunUntil(cluster.now() + kSettleMin);
  while (cluster.leader() < 0 && cluster.now() < until) {
    cluster.RunUntil(cluster.now() + kSecond);
  }
}

// A change that is safe by itself; whether it is possible now is the leader's to say.
Configuration RandomChange(const Configuration& now, Rng& rng) {
  if (now.joint()) return {now.voters, {}, now.learners};
  Configuration next;
  for (std::uint64_t id = 1; id <= kNemesisNodes; ++id) {
    if (rng.Chance(0.7)) {
      next.voters.emplace_back(id);
    } else if (rng.Chance(0.5)) {
      next.learners.emplace_back(id);
    }
  }
  if (next.voters.size() < 2) return now;
  next.voters_old = now.voters;
  std::erase_if(next.learners, [&now](NodeId id) { return IsVoter(now, id); });
  return next;
}

// One that believes it leads, perhaps no longer rightly; now and then any node.
int AnyLeader(const SimCluster& cluster, Rng& rng) {
  std::vector<int> leaders;
  for (int i = 0; i < kNemesisNodes; ++i) {
    if (cluster.up(i) && cluster.core(i).status().role == Role::kLeader) leaders.push_back(i);
  }
  if (leaders.empty() || rng.Chance(0.1)) return static_cast<int>(rng.Below(kNemesisNodes));
  return leaders[rng.Below(leaders.size())];
}

// The others believe that this node's process died, while it still believes to lead.
void Isolate(SimCluster& cluster, int node) {
  cluster.HealNetwork();
  cluster.Partition({node});
  for (int i = 0; i < kNemesisNodes; ++i) {
    if (i != node) cluster.Step(i, PeerGone{NodeId(static_cast<std::uint64_t>(node) + 1)});
  }
}

// A leader dies with its entries half sent, once and again: so the thesis's figure 3.7 comes about.
void LoseLeader(SimCluster& cluster, Rng& rng) {
  const int leader = cluster.leader();
  if (leader < 0) return;
  cluster.ProposeAt(leader, static_cast<int>(rng.Between(1, 5)));
  cluster.RunUntil(cluster.now() + rng.Between(1, 100 * kMillisecond));
  if (cluster.up(leader)) cluster.Crash(leader);
  for (int i = 0; i < kNemesisNodes; ++i) {
    if (!cluster.up(i) && rng.Chance(0.4)) cluster.Restart(i);
  }
}

void LosePower(SimCluster& cluster) {
  for (int i = 0; i < kNemesisNodes; ++i) {
    if (cluster.up(i)) cluster.Crash(i);
    cluster.Restart(i);
  }
}

}  // namespace

void Disturb(SimCluster& cluster, Rng& rng) {
  const int node = static_cast<int>(rng.Below(kNemesisNodes));
  const int target = AnyLeader(cluster, rng);
  switch (rng.Below(24)) {
    case 0:
      if (cluster.up(node)) {
        cluster.Crash(node);
      } else {
        cluster.Restart(node);
      }
      return;
    case 1:
      cluster.Partition({node, static_cast<int>(rng.Below(kNemesisNodes))});
      return;
    case 2:
      cluster.CutOneWay(node, static_cast<int>(rng.Below(kNemesisNodes)));
      return;
    case 3:
    case 4:
      cluster.HealNetwork();
      return;
    case 5:
      cluster.CompactAt(node);
      return;
    case 6:
      cluster.Step(target, TransferLeadership{NodeId(rng.Below(kNemesisNodes) + 1)});
      return;
    case 7:
      if (!cluster.up(node)) cluster.Restart(node);
      return;
    case 8:
      cluster.Step(node, PeerGone{NodeId(rng.Below(kNemesisNodes) + 1)});
      return;
    case 21:
    case 22:
    case 23:
      return LoseLeader(cluster, rng);
    case 18:
    case 19:
      return Isolate(cluster, target);
    case 20:
      return LosePower(cluster);
    case 16:
    case 17:
      if (!cluster.up(target)) return;
      cluster.Step(target,
                   ChangeConfig{RandomChange(cluster.core(target).status().configuration, rng), 0});
      return;
    case 9:
    case 10:
    case 11:
      cluster.ReadAt(target);
      return;
    default:
      cluster.ProposeAt(target, static_cast<int>(rng.Between(1, 40)));
  }
}

void HealAll(SimCluster& cluster) {
  cluster.set_faults({});
  cluster.HealNetwork();
  for (int i = 0; i < kNemesisNodes; ++i) {
    if (!cluster.up(i)) cluster.Restart(i);
  }
  Settle(cluster);
  // Everybody votes again: out of a joint configuration, into one with all, and out of that.
  Configuration all;
  for (std::uint64_t id = 1; id <= kNemesisNodes; ++id) all.voters.emplace_back(id);
  for (int i = 0; i < 3; ++i) {
    if (cluster.leader() < 0) return;
    const Configuration now = cluster.core(cluster.leader()).status().configuration;
    Configuration next{now.voters, {}, now.learners};
    if (!now.joint()) next = {all.voters, now.voters, {}};
    if (now != all) cluster.Step(cluster.leader(), ChangeConfig{next, 0});
    Settle(cluster);
  }
}

std::string RunNemesis(std::uint64_t seed) {
  Rng rng(seed, 1);
  const Micros election = rng.Between(50, 1000) * kMillisecond;
  const double skew = rng.Chance(0.3) ? 1 : 4;
  SimCluster cluster(seed, kNemesisNodes, election, skew, rng.Chance(0.5) ? 1000 : 50);
  SimCluster::Faults faults;
  faults.drop = rng.Chance(0.5) ? 0 : rng.Unit() * 0.2;
  faults.duplicate = rng.Unit() * 0.2;
  faults.delay_max = rng.Between(kMillisecond, 100 * kMillisecond);
  faults.sync_max = rng.Between(kMillisecond, 60 * kMillisecond);
  faults.turn_max = rng.Chance(0.5) ? 0 : rng.Between(0, 5 * kMillisecond);
  cluster.set_faults(faults);
  const Micros pace = rng.Between(5, 300) * kMillisecond;
  for (int i = 0; i < 200; ++i) {
    cluster.RunUntil(cluster.now() + rng.Between(1, pace));
    Disturb(cluster, rng);
  }
  HealAll(cluster);
  const int leader = cluster.leader();
  if (leader < 0) return "no leader is elected once faults end";
  const std::size_t answered = cluster.safety().reads_answered();
  cluster.ProposeAt(leader, 1);
  cluster.ReadAt(leader);
  cluster.RunUntil(cluster.now() + kSecond);
  if (cluster.safety().reads_answered() <= answered) return "a read is not answered";
  for (int i = 0; i < kNemesisNodes; ++i) {
    if (cluster.applied(i) == cluster.applied(leader) &&
        cluster.core(i).status().commit == cluster.core(leader).status().last_index) {
      continue;
    }
    return "node " + std::to_string(i) + " does not catch up";
  }
  return {};
}

}  // namespace coppice::raft
