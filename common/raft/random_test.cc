#include <gtest/gtest.h>

#include <cstdlib>

#include "common/raft/sim_nemesis.h"

namespace coppice::raft {
namespace {

// COPPICE_SEEDS=from-to runs others, COPPICE_SEEDS=n just one.
TEST(RaftRandom, SafetyAlwaysAndLivenessOnceHealed) {
  std::uint64_t from = 1;
  std::uint64_t to = 250;
  if (const char* seeds = std::getenv("COPPICE_SEEDS")) {
    char* end = nullptr;
    from = std::strtoull(seeds, &end, 10);
    to = *end == '-' ? std::strtoull(end + 1, nullptr, 10) : from;
  }
  for (std::uint64_t seed = from; seed <= to; ++seed) {
    const std::string broken = RunNemesis(seed);
    ASSERT_EQ(broken, "") << "seed " << seed;
  }
}

TEST(RaftRandom, ASeedGivesTheSameRunTwice) {
  const auto run = [] {
    SimCluster cluster(7, kNemesisNodes);
    Rng rng(7, 1);
    for (int i = 0; i < 100; ++i) {
      cluster.RunUntil(cluster.now() + rng.Between(1, 100 * kMillisecond));
      Disturb(cluster, rng);
    }
    HealAll(cluster);
    return cluster.applied(0);
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace coppice::raft
