#include "loadgen/sim/run.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "loadgen/sim/plan.h"

namespace coppice::sim {
namespace {

TEST(Plan, AFaultKindLessShiftsNothingElse) {
  const Plan whole = MakePlan(7, {});
  const Plan less = MakePlan(7, {.fault_kinds_off = 1U << static_cast<int>(FaultKind::kKill)});
  EXPECT_FALSE(less.Has(FaultKind::kKill));
  EXPECT_EQ(whole.voters, less.voters);
  EXPECT_EQ(whole.learner_parents, less.learner_parents);
  EXPECT_EQ(whole.intervals, less.intervals);
  EXPECT_EQ(whole.latency, less.latency);
}

TEST(Plan, RelayTreesAreAtMostThreeDeep) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    const Plan plan = MakePlan(seed, {});
    for (int i = 0; i < plan.learners; ++i) {
      int depth = 1;
      for (int at = plan.learner_parents[static_cast<std::size_t>(i)]; at >= 0;
           at = plan.learner_parents[static_cast<std::size_t>(at)]) {
        ++depth;
      }
      EXPECT_LE(depth, 3) << seed;
    }
  }
}

TEST(Run, TheSameSeedDoesTheSame) {
  RunOptions options;
  options.seed = 3;
  const RunResult first = RunSeed(options);
  const RunResult second = RunSeed(options);
  EXPECT_EQ(first.trace_hash, second.trace_hash);
  EXPECT_EQ(first.events, second.events);
  EXPECT_GT(first.succeeded, 0U);
}

// Each line of kept_seeds.txt: a command line's seed and what it leaves out, then its cause.
TEST(Run, TheSeedsThatOnceFailedPass) {
  std::ifstream file("loadgen/sim/kept_seeds.txt");
  ASSERT_TRUE(file.good());
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    RunOptions options;
    words >> options.seed;
    const RunResult result = RunSeed(options);
    for (const Violation& violation : result.violations) {
      ADD_FAILURE() << "seed " << options.seed << ": " << violation.property << ": "
                    << violation.what;
    }
  }
}

}  // namespace
}  // namespace coppice::sim
