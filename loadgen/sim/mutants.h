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
  Mutant mutant = Mutant::kEnd;
  std::string_view name;
  // Whose business it is, separated by ", ": only a complaint of one of these kills it, for any
  // change gives a seed another course, which may meet something else. Names of checkers, or
  // reasons of invariants that abort.
  std::string_view by;
  Arena arena = Arena::kCluster;
  // A seed that has shown it, tried first; after a change it may be another.
  std::uint64_t known = 0;
  // Makes the rule matter in most seeds; null: it does anyway.
  void (*bias)(Plan&) = nullptr;
};

// One for each Mutant, in its order.
std::span<const Planted> AllPlanted();

}  // namespace coppice::sim
