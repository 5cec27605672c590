#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.h"
#include "common/node/tuning.h"

namespace coppice::sim {

// What can go wrong. The numbers are part of command lines (--without) and never change.
enum class FaultKind : std::uint8_t {
  kKill = 0,         // a process is killed, and starts again
  kPowerLoss = 1,    // a machine loses its power: what was not synced is lost or torn
  kPause = 2,        // a process stands still (SIGSTOP)
  kPartition = 3,    // the hosts fall into two groups
  kOneWay = 4,       // one host does not reach another, which reaches it
  kIsolate = 5,      // one host is cut off
  kSlowLink = 6,     // the ways of one host take long, and little fits through
  kLoss = 7,         // packets are lost and sent again
  kReset = 8,        // connections break
  kClockJump = 9,    // a clock jumps forward
  kClockRate = 10,   // a clock runs fast or slow
  kDiskFull = 11,    // a disk has no space left
  kDiskError = 12,   // a write or a sync fails
  kBitFlip = 13,     // a log is damaged while its voter is down
  kSlowDisk = 14,    // syncs take long
  kDieInDisk = 15,   // a process dies within a disk operation
  kStop = 16,        // a process ends in order (SIGTERM)
  kWipe = 17,        // a learner or voter loses its data directory
  kStoreStall = 18,  // a state store takes nothing for a while: RocksDB's flushes are late
  kCount = 19,
};
constexpr int kFaultKinds = static_cast<int>(FaultKind::kCount);
std::string_view FaultName(FaultKind kind);

// A machine's clock.
struct ClockPlan {
  Time start = 0;
  std::int64_t ppm = 1'000'000;
};

// What a seed says: the cluster, the network, the clients, and which faults when.
struct Plan {
  std::uint64_t seed = 0;
  int voters = 3;
  int learners = 0;
  int proxies = 1;
  int clients = 3;
  std::vector<int> learner_parents;  // of each: another learner before it, or -1: voters
  Micros heartbeat = 100 * kMillisecond;
  Micros election_timeout = 1000 * kMillisecond;
  int threads = 1;  // of each process
  Micros latency = 200;
  Micros jitter = 100;
  double hesitation = 0.05;
  Micros hesitation_max = 200;
  node::Tuning tuning;
  std::uint64_t wal_segment_bytes = 256U << 10;
  std::size_t raft_window_bytes = 64U << 10;
  double flush_chance = 0;  // of a batch, by the store itself
  bool rocksdb = false;     // the real one; else rows in memory
  double operations_per_second = 60;
  std::array<bool, kFaultKinds> faults{};
  std::array<Micros, kFaultKinds> intervals{};  // mean time between two of a kind
  std::int64_t rate_skew = 50'000;              // of kClockRate at most, in ppm
  Micros warm_up = 5 * kSecond;
  Micros faults_for = 35 * kSecond;
  Micros healed_for = 8 * kSecond;
  Micros settle_max = 60 * kSecond;
  // Watch streams that nobody reads from some time after healing until the end, each beside one
  // that is read, while clients write much (W13). Then `healed_for` is long enough to judge.
  int stalled_watchers = 0;

  ClockPlan ClockOf(int host) const;
  // In true time, from a revision's first acknowledgement until it has reached every client that
  // reads, while nothing is wrong: generous, as it says whether anybody waits for a slow watcher.
  Micros DeliveryMax() const;
  bool Has(FaultKind kind) const { return faults[static_cast<std::size_t>(kind)]; }
  std::string ToString() const;
};

// What `--shrink` changes in a plan: -1 leaves it as the seed says.
struct PlanChanges {
  std::uint32_t fault_kinds_off = 0;  // bits by FaultKind
  int voters = -1;
  int learners = -1;
  int proxies = -1;
  int clients = -1;
};
Plan MakePlan(std::uint64_t seed, const PlanChanges& changes);

}  // namespace coppice::sim
