#pragma once

#include <cstdint>
#include <string>

#include "common/base/rng.h"
#include "common/raft/sim_cluster.h"

// What goes wrong in a SimCluster, by seeds. For tests.
namespace coppice::raft {

constexpr int kNemesisNodes = 5;

// One random thing, good or bad: a crash, a cut, a write, a read, a change of configuration (with
// learners and joint ones), a transfer of leadership.
void Disturb(SimCluster& cluster, Rng& rng);
// No more faults; all nodes run, and vote again.
void HealAll(SimCluster& cluster);

// A cluster disturbed 200 times, then healed. Aborts with the reason as soon as a safety property
// is broken (sim_safety.h). Otherwise what does not happen though all is healed; empty: nothing.
std::string RunNemesis(std::uint64_t seed);

}  // namespace coppice::raft
