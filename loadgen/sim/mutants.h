#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/mutant.h"
#include "loadgen/sim/plan.h"

namespace coppice::sim {

// Where a mutant is hunted: in whole clusters, or among raft cores alone
// (common/raft/sim_nemesis.h), which have what no cluster has yet: changes of configuration.
enum class Arena : std::uint8_t { kCluster, kCores };

struct Planted {
  Mutant mutant;
  std::string_view name;
  // What kills it: only a complaint of one of these counts, for a change of any kind gives a seed
  // another course, which may meet something else. Names of checkers, or a part of the reason of
  // an invariant that aborts, separated by commas.
  std::string_view by;
  Arena arena = Arena::kCluster;
  // Seeds that have shown it, tried first: after a change they may be others.
  std::uint64_t known = 0;
  // Makes the rule matter in most seeds; null: it does anyway.
  void (*bias)(Plan&) = nullptr;
};

// One for each Mutant, in its order.
std::span<const Planted> AllPlanted();

}  // namespace coppice::sim
