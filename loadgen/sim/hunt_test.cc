#include "loadgen/sim/hunt.h"

#include <gtest/gtest.h>

#include <string>

namespace coppice::sim {
namespace {

constexpr Planted kStale{.name = "answer stale", .by = "L1, one leader a term", .known = 7};

SeedResult Passes() {
  return {};
}
SeedResult Violates(const std::string& property) {
  SeedResult result;
  result.run.violations.push_back({property, "why"});
  return result;
}
SeedResult Dies(const std::string& crash) {
  SeedResult result;
  result.crash = crash;
  return result;
}

TEST(Hunt, ASeedKillsIfItPassesWithoutTheMistake) {
  const HuntOptions options;
  Hunt hunt(kStale, options);
  EXPECT_EQ(hunt.Next().seed, 7U);
  hunt.Done(Violates("L1"));
  EXPECT_FALSE(hunt.over());
  const Hunt::Run control = hunt.Next();
  EXPECT_EQ(control.seed, 7U);
  EXPECT_TRUE(control.control);
  hunt.Done(Passes());
  EXPECT_TRUE(hunt.over());
  EXPECT_TRUE(hunt.killed());
  EXPECT_EQ(hunt.killer(), 7U);
  EXPECT_EQ(hunt.seeds(), 1U);
}

TEST(Hunt, ASeedThatFailsWithoutTheMistakeIsNoProof) {
  const HuntOptions options{.budget = 1};
  Hunt hunt(kStale, options);
  (void)hunt.Next();
  hunt.Done(Violates("L1"));
  (void)hunt.Next();
  hunt.Done(Violates("L1"));
  EXPECT_TRUE(hunt.over());
  EXPECT_FALSE(hunt.killed());
  EXPECT_EQ(hunt.unfit(), 1U);
}

TEST(Hunt, WhatIsNotTheMistakesBusinessDoesNotCount) {
  const HuntOptions options{.budget = 3};
  Hunt hunt(kStale, options);
  for (const SeedResult& result :
       {Violates("W4"), Dies("signal 11"), Dies("not done after 30 s of real time")}) {
    EXPECT_FALSE(hunt.Next().control);
    hunt.Done(result);
  }
  EXPECT_TRUE(hunt.over());
  EXPECT_FALSE(hunt.killed());
}

TEST(Hunt, AnInvariantThatIsNamedCounts) {
  const HuntOptions options;
  Hunt hunt(kStale, options);
  (void)hunt.Next();
  hunt.Done(Dies("signal 6, a.cc:7: invariant broken: x == y (one leader a term)"));
  EXPECT_TRUE(hunt.Next().control);
}

TEST(Hunt, SeedsAreTakenInOrderAndTheKnownOneOnce) {
  const HuntOptions options{.budget = 10};
  Hunt hunt(kStale, options);
  std::string order;
  while (!hunt.over()) {
    order += std::to_string(hunt.Next().seed) + " ";
    hunt.Done(Passes());
  }
  EXPECT_EQ(order, "7 1 2 3 4 5 6 8 9 10 ");
}

TEST(Hunt, MoreSeedsCollectMoreCheckers) {
  const HuntOptions options{.more = 1};
  Hunt hunt(kStale, options);
  for (const SeedResult& result : {Violates("L1"), Passes(), Violates("L1")}) {
    (void)hunt.Next();
    SeedResult with = result;
    if (result.run.failed()) with.run.violations.push_back({hunt.killed() ? "B1" : "W4", ""});
    hunt.Done(with);
  }
  (void)hunt.Next();
  hunt.Done(Passes());
  EXPECT_TRUE(hunt.over());
  EXPECT_EQ(hunt.killed_by(), (std::set<std::string>{"B1", "L1", "W4"}));
  EXPECT_EQ(hunt.seeds(), 1U);
}

TEST(AllPlanted, HasEachMutantInItsPlace) {
  std::size_t at = 0;
  for (const Planted& planted : AllPlanted()) {
    EXPECT_EQ(static_cast<std::size_t>(planted.mutant), at++);
    EXPECT_FALSE(planted.by.empty()) << planted.name;
  }
}

}  // namespace
}  // namespace coppice::sim
