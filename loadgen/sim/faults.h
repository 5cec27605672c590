#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/rng.h"
#include "loadgen/sim/plan.h"

namespace coppice::sim {

class Machine;
class World;

// Makes a plan's faults happen, each kind by a generator of its own, until Stop.
// Thread: the world's.
class Faults {
 public:
  explicit Faults(World& world);
  ~Faults();
  void Start();
  // No new ones; what lasts is ended by the world.
  void Stop() { stopped_ = true; }

 private:
  void Next(FaultKind kind);
  void Act(FaultKind kind, Rng& rng);
  void ActOnProcess(FaultKind kind, Rng& rng);
  bool Wipe(Machine& machine, Rng& rng);
  void ActOnNetwork(FaultKind kind, Rng& rng);
  // All links of a host are slow for `time`.
  void SlowLinks(int host, Micros time, Rng& rng);
  void ActOnDisk(FaultKind kind, Rng& rng);
  void Cut(const std::vector<std::pair<int, int>>& ways, Micros time);
  void FlipBit(Machine& machine, Rng& rng);
  Machine& Any(Rng& rng);
  Machine* AnyStore(Rng& rng);
  void Later(Micros delay, std::function<void()> act);

  World& world_;
  std::vector<Rng> rngs_;  // by kind
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace coppice::sim
