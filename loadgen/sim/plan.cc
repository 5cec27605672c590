#include "loadgen/sim/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/rng.h"

namespace coppice::sim {
namespace {

constexpr std::string_view kNames[kFaultKinds] = {
    "kill",        "power-loss", "pause",      "partition",   "one-way",
    "isolate",     "slow-link",  "loss",       "reset",       "clock-jump",
    "clock-rate",  "disk-full",  "disk-error", "bit-flip",    "slow-disk",
    "die-in-disk", "stop",       "wipe",       "store-stall",
};

constexpr int kDepthMax = 3;
constexpr Micros kHealedForStalls = 22 * kSecond;
// A client that reads gets 64 KiB in a round trip: above this its own way would be too narrow.
constexpr Micros kRoundTripForStalls = 20 * kMillisecond;

// Each part of a plan has a stream of its own: one that changes does not shift the others.
enum Stream : std::uint64_t {
  kSizes = 1,
  kTree,
  kTimes,
  kNetwork,
  kSizesOfStores,
  kFaults,
  kClocks,
  kRocksDb,
  kStalls,
  kStoreStalls,
  kUnapplied,
};

void DrawTree(Plan& plan) {
  Rng rng(plan.seed, kTree);
  std::vector<int> depth;
  for (int i = 0; i < plan.learners; ++i) {
    const int parent =
        rng.Chance(0.5) ? -1 : static_cast<int>(rng.Below(static_cast<std::uint64_t>(i) + 1)) - 1;
    const int below = parent < 0 ? 0 : depth[static_cast<std::size_t>(parent)];
    plan.learner_parents.push_back(below >= kDepthMax ? -1 : parent);
    depth.push_back(below >= kDepthMax || parent < 0 ? 1 : below + 1);
  }
}

void DrawTimes(Plan& plan) {
  Rng rng(plan.seed, kTimes);
  plan.heartbeat = rng.Between(50, 150) * kMillisecond;
  plan.election_timeout = plan.heartbeat * rng.Between(5, 12);
  plan.threads = rng.Chance(0.15) ? 3 : 1;
  plan.hesitation = rng.Chance(0.5) ? 0.02 : 0.3;
  plan.hesitation_max = rng.Chance(0.8) ? 200 : 20 * kMillisecond;
  plan.operations_per_second = static_cast<double>(rng.Between(30, 100));
}

void DrawNetwork(Plan& plan) {
  Rng rng(plan.seed, kNetwork);
  const std::uint64_t kind = rng.Below(10);
  plan.latency = kind < 6 ? rng.Between(50, 500) : rng.Between(500, kind < 9 ? 5000 : 30'000);
  plan.jitter = rng.Between(0, plan.latency);
}

void DrawStores(Plan& plan) {
  Rng rng(plan.seed, kSizesOfStores);
  plan.tuning.flush_interval = rng.Between(1, 20) * kSecond;
  plan.tuning.flush_bytes = rng.Chance(0.5) ? 64U << 20 : 16U << 10;
  plan.tuning.tail_window_bytes = rng.Chance(0.5) ? 4U << 10 : 1U << 20;
  plan.tuning.event_ring_bytes = rng.Chance(0.5) ? 4U << 10 : 1U << 20;
  plan.wal_segment_bytes = rng.Chance(0.5) ? 16U << 10 : 1U << 20;
  plan.raft_window_bytes = rng.Chance(0.5) ? 4U << 10 : 1U << 20;
  plan.flush_chance = rng.Chance(0.5) ? 0 : 0.02;
  plan.tuning.unapplied_bytes = Rng(plan.seed, kUnapplied).Chance(0.5) ? 4U << 10 : 64U << 20;
  plan.rocksdb = Rng(plan.seed, kRocksDb).Chance(0.02);
  plan.tuning.watch_response_bytes = rng.Chance(0.5) ? 400 : 2U << 20;
  plan.tuning.watch_progress_interval = rng.Chance(0.5) ? 2 * kSecond : 600 * kSecond;
}

void DrawFaults(Plan& plan) {
  Rng rng(plan.seed, kFaults);
  const double share = rng.Unit() * 0.6;
  for (int kind = 0; kind < kFaultKinds; ++kind) {
    const bool on = rng.Chance(share);
    const Micros interval = rng.Between(2, 20) * kSecond;
    plan.faults[static_cast<std::size_t>(kind)] = on;
    plan.intervals[static_cast<std::size_t>(kind)] = interval;
  }
  // Not so often that stores are all that is seen to be slow.
  bool& stalls = plan.faults[static_cast<std::size_t>(FaultKind::kStoreStall)];
  stalls = stalls && Rng(plan.seed, kStoreStalls).Chance(0.3);
}

void DrawStalls(Plan& plan) {
  Rng rng(plan.seed, kStalls);
  if (!rng.Chance(0.1) || 2 * (plan.latency + plan.jitter) > kRoundTripForStalls) return;
  plan.stalled_watchers = static_cast<int>(rng.Between(1, 2));
  plan.healed_for = kHealedForStalls;
}

}  // namespace

std::string_view FaultName(FaultKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

ClockPlan Plan::ClockOf(int host) const {
  Rng rng(seed, kClocks + (static_cast<std::uint64_t>(host) << 8));
  ClockPlan clock;
  clock.start = rng.Between(1, 1'000'000) * kSecond;
  // Quartz is good to 100 ppm; a seed in four has worse.
  const std::int64_t skew = Rng(seed, kClocks).Chance(0.25) ? 20'000 : 100;
  clock.ppm = 1'000'000 + rng.Between(-skew, skew);
  return clock;
}

// From the leader to a voter that tells a learner, down the relays, to a proxy, to the client: each
// a packet, and two turns that hesitate. What a voter does not hear of at once it hears with the
// next heartbeat. A second for all that waits for its batch.
Micros Plan::DeliveryMax() const {
  constexpr int kHops = 3 + kDepthMax;
  return kSecond + 2 * heartbeat + kHops * (latency + jitter + 2 * hesitation_max);
}

std::string Plan::ToString() const {
  std::string kinds;
  for (int kind = 0; kind < kFaultKinds; ++kind) {
    if (!faults[static_cast<std::size_t>(kind)]) continue;
    if (!kinds.empty()) kinds += ',';
    kinds += kNames[kind];
  }
  std::string parents;
  for (const int parent : learner_parents) {
    parents += parent < 0 ? std::string("v ") : fmt::format("l{} ", parent + 1);
  }
  if (!parents.empty()) parents.pop_back();
  return fmt::format(
      "{} voters, {} learners ({}), {} proxies, {} clients; heartbeat {} ms, election {} ms, "
      "{} threads, latency {} us{}; faults: {}",
      voters, learners, parents, proxies, clients, heartbeat / kMillisecond,
      election_timeout / kMillisecond, threads, latency, rocksdb ? ", RocksDB" : "",
      kinds.empty() ? "none" : kinds);
}

Plan MakePlan(std::uint64_t seed, const PlanChanges& changes) {
  Plan plan;
  plan.seed = seed;
  Rng rng(seed, kSizes);
  constexpr int kVoters[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 7};
  constexpr int kLearners[] = {0, 0, 1, 1, 2, 2, 3, 4, 5, 6};
  plan.voters = kVoters[rng.Below(10)];
  plan.learners = kLearners[rng.Below(10)];
  plan.proxies = static_cast<int>(rng.Between(1, 3));
  plan.clients = static_cast<int>(rng.Between(3, rng.Chance(0.3) ? 20 : 8));
  if (changes.voters >= 0) plan.voters = changes.voters;
  if (changes.learners >= 0) plan.learners = changes.learners;
  if (changes.proxies >= 0) plan.proxies = changes.proxies;
  if (changes.clients >= 0) plan.clients = changes.clients;
  DrawTree(plan);
  DrawTimes(plan);
  DrawNetwork(plan);
  DrawStores(plan);
  DrawFaults(plan);
  DrawStalls(plan);
  for (int kind = 0; kind < kFaultKinds; ++kind) {
    if ((changes.fault_kinds_off >> kind & 1U) != 0) {
      plan.faults[static_cast<std::size_t>(kind)] = false;
    }
  }
  return plan;
}

}  // namespace coppice::sim
