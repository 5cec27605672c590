#include "loadgen/sim/faults.h"

#include <utility>

#include "loadgen/sim/machine.h"
#include "loadgen/sim/world.h"

namespace coppice::sim {
namespace {

constexpr std::int64_t kPpm = 1'000'000;

}  // namespace

Faults::Faults(World& world) : world_(world) {
  for (int kind = 0; kind < kFaultKinds; ++kind) {
    rngs_.emplace_back(world.plan().seed, 0xfa000000 + static_cast<std::uint64_t>(kind));
  }
}

Faults::~Faults() {
  *alive_ = false;
}

void Faults::Start() {
  for (int kind = 0; kind < kFaultKinds; ++kind) {
    if (world_.plan().faults[static_cast<std::size_t>(kind)]) Next(static_cast<FaultKind>(kind));
  }
}

void Faults::Later(Micros delay, std::function<void()> act) {
  world_.scheduler().After(delay, [alive = alive_, act = std::move(act)] {
    if (*alive) act();
  });
}

void Faults::Next(FaultKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  Rng& rng = rngs_[index];
  // Integers only: what libm rounds differs between machines.
  const Micros mean = world_.plan().intervals[index];
  const Micros wait = rng.Between(mean / 10, mean * 19 / 10);
  Later(wait, [this, kind, &rng] {
    if (stopped_) return;
    Act(kind, rng);
    Next(kind);
  });
}

Machine& Faults::Any(Rng& rng) {
  return world_.machine(rng.Below(world_.machines()));
}

Machine* Faults::AnyStore(Rng& rng) {
  Machine& machine = Any(rng);
  return machine.tier() == Tier::kProxy ? nullptr : &machine;
}

void Faults::Act(FaultKind kind, Rng& rng) {
  switch (kind) {
    case FaultKind::kKill:
    case FaultKind::kPowerLoss:
    case FaultKind::kPause:
    case FaultKind::kClockJump:
    case FaultKind::kClockRate:
    case FaultKind::kStop:
    case FaultKind::kWipe:
      return ActOnProcess(kind, rng);
    case FaultKind::kPartition:
    case FaultKind::kOneWay:
    case FaultKind::kIsolate:
    case FaultKind::kSlowLink:
    case FaultKind::kLoss:
    case FaultKind::kReset:
      return ActOnNetwork(kind, rng);
    default:
      return ActOnDisk(kind, rng);
  }
}

void Faults::ActOnProcess(FaultKind kind, Rng& rng) {
  Machine& machine = Any(rng);
  const Micros pause = rng.Between(50 * kMillisecond, 4 * kSecond);
  const Micros election = world_.plan().election_timeout;
  switch (kind) {
    case FaultKind::kKill:
    case FaultKind::kPowerLoss: {
      if (!machine.up()) return;
      const bool power = kind == FaultKind::kPowerLoss;
      world_.coverage().Add(power ? "power-losses" : "processes-killed");
      // Now and then several at once: a rack, or all there are.
      const std::size_t count = rng.Chance(0.15) ? rng.Below(world_.machines()) + 1 : 1;
      world_.Kill(machine, power, rng);
      world_.StartLater(machine, pause);
      for (std::size_t i = 1; i < count; ++i) {
        Machine& other = Any(rng);
        if (!other.up()) continue;
        world_.Kill(other, power, rng);
        world_.StartLater(other, rng.Between(50 * kMillisecond, 4 * kSecond));
      }
      return;
    }
    case FaultKind::kPause:
      world_.coverage().Add("processes-paused");
      return machine.Pause(rng.Chance(0.5) ? rng.Between(1, election / 2)
                                           : rng.Between(election / 2, 3 * election));
    case FaultKind::kClockJump:
      world_.coverage().Add("clock-jumps");
      machine.clock().Jump(rng.Between(10 * kMillisecond, 20 * kSecond));
      if (machine.up()) machine.process()->ClockChanged();
      return;
    case FaultKind::kClockRate: {
      world_.coverage().Add("clocks-run-fast-or-slow");
      const std::int64_t skew = world_.plan().rate_skew;
      machine.clock().SetRate(kPpm + rng.Between(-skew, skew));
      if (machine.up()) machine.process()->ClockChanged();
      Later(rng.Between(1, 10) * kSecond, [this, &machine] {
        machine.clock().SetRate(world_.plan().ClockOf(machine.host()).ppm);
        if (machine.up()) machine.process()->ClockChanged();
      });
      return;
    }
    case FaultKind::kStop:
      if (!machine.up()) return;
      world_.coverage().Add("processes-stopped-in-order");
      return machine.Stop();
    default:  // kWipe
      if (!Wipe(machine, rng)) return;
      return world_.StartLater(machine, pause);
  }
}

// A voter only where enough others remain: it is lost for good.
bool Faults::Wipe(Machine& machine, Rng& rng) {
  if (machine.tier() == Tier::kProxy || !machine.up()) return false;
  if (machine.tier() == Tier::kLearner) {
    world_.coverage().Add("learners-wiped");
    world_.Kill(machine, true, rng);
    machine.Wipe();
    return true;
  }
  if (machine.voter() == nullptr || machine.damaged) return false;
  if (world_.lost_voters() + 1 > (world_.plan().voters - 1) / 2) return false;
  world_.coverage().Add("voters-wiped");
  world_.Kill(machine, true, rng);
  machine.Wipe();
  machine.damaged = true;
  machine.amnesiac = true;
  return true;
}

void Faults::Cut(const std::vector<std::pair<int, int>>& ways, Micros time) {
  for (const auto& [from, to] : ways) world_.network().SetCut(from, to, true);
  Later(time, [this, ways] {
    if (stopped_) return;  // the world has healed everything
    for (const auto& [from, to] : ways) world_.network().SetCut(from, to, false);
  });
}

void Faults::SlowLinks(int host, Micros time, Rng& rng) {
  Network& network = world_.network();
  const int hosts = network.hosts();
  world_.coverage().Add("slow-links");
  const Micros latency = rng.Between(5 * kMillisecond, 500 * kMillisecond);
  const std::int64_t bytes = rng.Between(10'000, 1'000'000);
  for (int i = 0; i < hosts; ++i) {
    for (Network::Way* way : {&network.way(host, i), &network.way(i, host)}) {
      ++way->slows;
      way->slow_latency = latency;
      way->bytes_per_second = bytes;
    }
  }
  Later(time, [this, host, hosts] {
    if (stopped_) return;
    for (int i = 0; i < hosts; ++i) {
      for (auto* way : {&world_.network().way(host, i), &world_.network().way(i, host)}) {
        if (--way->slows == 0) way->bytes_per_second = 0;
      }
    }
  });
}

void Faults::ActOnNetwork(FaultKind kind, Rng& rng) {
  Network& network = world_.network();
  const int hosts = network.hosts();
  const int machines = static_cast<int>(world_.machines());
  const Micros time = rng.Between(100 * kMillisecond, 8 * kSecond);
  const HostId host = static_cast<int>(rng.Below(static_cast<std::uint64_t>(machines)));
  std::vector<std::pair<int, int>> ways;
  switch (kind) {
    case FaultKind::kPartition: {
      world_.coverage().Add("partitions");
      std::vector<bool> left;
      for (int i = 0; i < hosts; ++i) left.push_back(rng.Chance(0.5));
      for (int a = 0; a < hosts; ++a) {
        for (int b = 0; b < hosts; ++b) {
          if (left[static_cast<std::size_t>(a)] != left[static_cast<std::size_t>(b)]) {
            ways.emplace_back(a, b);
          }
        }
      }
      return Cut(ways, time);
    }
    case FaultKind::kOneWay: {
      world_.coverage().Add("one-way-partitions");
      const bool out = rng.Chance(0.5);
      for (int i = 0; i < machines; ++i) {
        if (i == host || !rng.Chance(0.6)) continue;
        out ? ways.emplace_back(host, i) : ways.emplace_back(i, host);
      }
      return Cut(ways, time);
    }
    case FaultKind::kIsolate:
      world_.coverage().Add("hosts-isolated");
      for (int i = 0; i < hosts; ++i) {
        if (i == host) continue;
        ways.emplace_back(host, i);
        ways.emplace_back(i, host);
      }
      return Cut(ways, time);
    case FaultKind::kSlowLink:
      return SlowLinks(host, time, rng);
    case FaultKind::kLoss: {
      const double loss = static_cast<double>(rng.Between(1, 200)) / 1000;
      const auto set = [this, hosts](double share) {
        for (int a = 0; a < hosts; ++a) {
          for (int b = 0; b < hosts; ++b) world_.network().way(a, b).loss = share;
        }
      };
      set(loss);
      return Later(time, [set] { set(0); });
    }
    default: {  // kReset
      const bool all = rng.Chance(0.2);
      const double share = static_cast<double>(rng.Between(1, 10)) / 10;
      const std::uint64_t salt = rng.Next();
      const int count = network.Reset([&](HostId a, HostId b, std::uint64_t flow) {
        if (!all && a != host && b != host) return false;
        return Rng(salt, flow).Chance(share);
      });
      world_.coverage().Add("connections-reset", static_cast<std::uint64_t>(count));
      return;
    }
  }
}

void Faults::ActOnDisk(FaultKind kind, Rng& rng) {
  Machine* const machine = AnyStore(rng);
  if (machine == nullptr) return;
  io::MemoryDisk& disk = machine->disk().memory();
  const Micros time = rng.Between(500 * kMillisecond, 6 * kSecond);
  switch (kind) {
    case FaultKind::kDiskFull: {
      world_.coverage().Add("disks-full");
      const bool store = rng.Chance(0.4);
      if (store) {
        machine->SetStoreFailure(
            MakeStatus(StatusCode::kResourceExhausted, "No space left on device"));
      } else {
        disk.SetCapacity(disk.UsedBytes() + rng.Below(64U << 10));
      }
      return Later(time, [machine, store] {
        if (store) return machine->SetStoreFailure(OkStatus());
        machine->disk().memory().SetCapacity(UINT64_MAX);
      });
    }
    case FaultKind::kDiskError: {
      using Operation = io::MemoryDisk::Operation;
      constexpr Operation kOperations[] = {Operation::kSync,          Operation::kSync,
                                           Operation::kWrite,         Operation::kRename,
                                           Operation::kSyncDirectory, Operation::kOpen};
      const std::uint64_t nth = rng.Below(20) + 1;
      disk.FailNth(kOperations[rng.Below(6)], nth,
                   MakeStatus(StatusCode::kInternal, "Input/output error"));
      world_.coverage().Add("disk-operations-made-to-fail");
      return;
    }
    case FaultKind::kStoreStall: {
      world_.coverage().Add("stores-stalled");
      machine->SetStoreFailure(MakeStatus(StatusCode::kUnavailable, "the store stalls"));
      // Mostly shorter than an election.
      return Later(rng.Chance(0.7) ? time / 8 : time,
                   [machine] { machine->SetStoreFailure(OkStatus()); });
    }
    case FaultKind::kBitFlip:
      return FlipBit(*machine, rng);
    case FaultKind::kSlowDisk: {
      world_.coverage().Add("slow-disks");
      const Micros slow = rng.Between(5 * kMillisecond, 400 * kMillisecond);
      machine->disk().SetSyncTime(slow / 4, slow);
      return Later(time, [machine] { machine->disk().SetSyncTime(50, 500); });
    }
    default: {  // kDieInDisk
      // More than one sync can be asked for in a turn: what precedes the last one may be torn.
      const bool power_loss = rng.Chance(0.6);
      return machine->disk().DieAt(rng.Below(12) + 1, power_loss);
    }
  }
}

// Only where enough good copies remain: damage to a majority is beyond any promise.
void Faults::FlipBit(Machine& machine, Rng& rng) {
  if (machine.tier() != Tier::kVoter || !machine.up() || machine.damaged) return;
  if (world_.lost_voters() + 1 > (world_.plan().voters - 1) / 2) return;
  world_.Kill(machine, false, rng);
  std::string path;
  std::uint64_t size = 0;
  for (const auto& [name, bytes] : machine.disk().memory().Image()) {
    if (name.find("/wal/") == std::string::npos || bytes.empty()) continue;
    if (!path.empty() && rng.Chance(0.5)) continue;
    path = name;
    size = bytes.size();
  }
  if (!path.empty()) {
    // Mostly where something is written.
    const std::uint64_t offset =
        rng.Chance(0.8) ? rng.Below(std::min<std::uint64_t>(size, 4096)) : rng.Below(size);
    machine.damaged = true;
    world_.coverage().Add("bits-flipped-in-a-log");
    (void)machine.disk().memory().FlipBit(path, offset, static_cast<int>(rng.Below(8)));
  }
  world_.StartLater(machine, rng.Between(50 * kMillisecond, 2 * kSecond));
}

}  // namespace coppice::sim
