#include "proxy/router.h"

#include <gtest/gtest.h>

#include <set>

namespace coppice::proxy {
namespace {

using replica::NodeRole;
using replica::NodeState;

constexpr Time kStart = 1000 * kSecond;

// A router and what its backends say of themselves.
class RouterTest : public testing::Test {
 protected:
  RouterTest() { router.BeginTurn(now); }

  BackendId AddNode(std::uint64_t id, NodeRole role) {
    const BackendId backend = router.Add();
    router.Up(backend);
    NodeState state;
    state.id = NodeId(id);
    state.role = role;
    state.ready = true;
    state.leader = NodeId(1);
    state.term = Term(5);
    state.revision = 100;
    state.staleness = 20 * kMillisecond;
    Say(backend, state);
    return backend;
  }
  BackendId Learner(std::uint64_t id) { return AddNode(id, NodeRole::kLearner); }
  BackendId Voter(std::uint64_t id) { return AddNode(id, NodeRole::kVoter); }
  void Say(BackendId backend, const NodeState& state) { router.Heard(backend, state, now); }
  void SayStaleness(BackendId backend, Micros staleness) {
    NodeState state = State(backend);
    state.staleness = staleness;
    Say(backend, state);
  }
  NodeState State(BackendId backend) { return *router.StateOf(backend); }
  // All say again what they said, as they do every 100 ms.
  void NextTurn(Micros after = kMillisecond) {
    now += after;
    router.BeginTurn(now);
  }

  static Want Write() { return {.leader = true}; }
  static Want Linearizable() { return {}; }
  static Want Bounded(Micros staleness) {
    return {.mode = ReadMode::kBounded, .max_staleness = staleness};
  }
  static Want AtLeast(Revision revision) {
    return {.mode = ReadMode::kBounded, .min_revision = revision};
  }
  static Want FresherThan(BackendId than) { return {.spread = true, .fresher_than = than}; }
  static Want Serializable() { return {.mode = ReadMode::kSerializable}; }

  Time now = kStart;
  Router router{RouterOptions{}, Rng(7)};
};

TEST_F(RouterTest, HasNothingToChooseBeforeAnyoneSpoke) {
  EXPECT_EQ(router.Choose(Linearizable()), std::nullopt);
  const BackendId silent = router.Add();
  router.Up(silent);
  EXPECT_EQ(router.Choose(Linearizable()), std::nullopt);
  EXPECT_EQ(router.Choose(Write()), std::nullopt);
}

TEST_F(RouterTest, WritesGoToTheVoterThatSaysItLeads) {
  Learner(9);
  const BackendId leader = Voter(1);
  Voter(2);
  EXPECT_EQ(router.Choose(Write()), leader);
}

TEST_F(RouterTest, OfTwoThatSayTheyLeadTheHigherTermIsRight) {
  const BackendId old_leader = Voter(1);
  const BackendId new_leader = Voter(2);
  NodeState state = State(new_leader);
  state.leader = NodeId(2);
  state.term = Term(6);
  Say(new_leader, state);
  EXPECT_EQ(router.Choose(Write()), new_leader);
  EXPECT_NE(router.Choose(Write()), old_leader);
}

TEST_F(RouterTest, WithoutTheLeadersConnectionAVoterForwards) {
  Learner(9);
  const BackendId leader = Voter(1);
  const BackendId follower = Voter(2);
  router.Down(leader);
  EXPECT_EQ(router.Choose(Write()), follower);
}

TEST_F(RouterTest, WithoutVotersALearnerForwards) {
  const BackendId learner = Learner(9);
  EXPECT_EQ(router.Choose(Write()), learner);
}

TEST_F(RouterTest, WhileNobodyKnowsALeaderWritesWait) {
  const BackendId voter = Voter(2);
  NodeState state = State(voter);
  state.leader = NodeId(0);
  Say(voter, state);
  EXPECT_EQ(router.Choose(Write()), std::nullopt);
}

TEST_F(RouterTest, AWriteThatWasRefusedGoesToAnotherIfThereIsOne) {
  const BackendId leader = Voter(1);
  EXPECT_EQ(router.Choose(Write(), leader), leader);
  const BackendId follower = Voter(2);
  EXPECT_EQ(router.Choose(Write(), leader), follower);
}

TEST_F(RouterTest, ReadsOfEachModeGoToLearners) {
  Voter(1);
  const BackendId learner = Learner(9);
  EXPECT_EQ(router.Choose(Linearizable()), learner);
  EXPECT_EQ(router.Choose(Bounded(kSecond)), learner);
  EXPECT_EQ(router.Choose(Serializable()), learner);
}

TEST_F(RouterTest, ReadsGoToVotersOnlyWithoutAUsableLearner) {
  const BackendId voter = Voter(1);
  const BackendId learner = Learner(9);
  router.Down(learner);
  EXPECT_EQ(router.Choose(Linearizable()), voter);
}

TEST_F(RouterTest, OneThatIsNotReadyOrDrainsGetsNothingThatMustBeFresh) {
  const BackendId first = Learner(8);
  const BackendId second = Learner(9);
  NodeState state = State(first);
  state.ready = false;
  Say(first, state);
  EXPECT_EQ(router.Choose(Linearizable()), second);
  state.ready = true;
  state.draining = true;
  Say(first, state);
  NextTurn();
  EXPECT_EQ(router.Choose(Linearizable()), second);
  router.GoingAway(second);
  EXPECT_EQ(router.Choose(Linearizable()), std::nullopt);
}

TEST_F(RouterTest, ABoundedReadGoesWhereTheBoundMayBeMet) {
  const BackendId stale = Learner(8);
  NodeState state = State(stale);
  state.staleness = 400 * kMillisecond;
  Say(stale, state);
  const BackendId fresh = Learner(9);
  for (int i = 0; i < 20; ++i) {
    NextTurn();
    EXPECT_EQ(router.Choose(Bounded(200 * kMillisecond)), fresh);
  }
}

TEST_F(RouterTest, WhatIsBelievedOfStalenessGrowsWithTimeSinceTheReport) {
  const BackendId earlier = Learner(8);
  NextTurn(90 * kMillisecond);
  const BackendId later = Learner(9);
  EXPECT_EQ(router.BelievedStaleness(earlier), 110 * kMillisecond);
  EXPECT_EQ(router.Choose(Bounded(100 * kMillisecond)), later);
}

TEST_F(RouterTest, ABoundThatNobodyMeetsIsForALearnerAllTheSame) {
  Voter(1);
  const BackendId learner = Learner(9);
  EXPECT_EQ(router.Choose(Bounded(kMillisecond)), learner);
}

TEST_F(RouterTest, AMinimumRevisionPrefersALearnerThatHasIt) {
  const BackendId behind = Learner(8);
  const BackendId ahead = Learner(9);
  NodeState state = State(ahead);
  state.revision = 200;
  Say(ahead, state);
  for (int i = 0; i < 20; ++i) {
    NextTurn();
    EXPECT_EQ(router.Choose(AtLeast(150)), ahead);
  }
  router.Down(ahead);
  EXPECT_EQ(router.Choose(AtLeast(150)), behind);
}

TEST_F(RouterTest, ALearnerThatIsCutOffServesOnlyWhatMayBeStale) {
  const BackendId voter = Voter(1);
  const BackendId cut_off = Learner(9);
  NodeState state = State(cut_off);
  state.staleness = 5 * kSecond;
  Say(cut_off, state);
  EXPECT_EQ(router.Choose(Linearizable()), voter);
  EXPECT_EQ(router.Choose(Bounded(kSecond)), voter);
  EXPECT_EQ(router.Choose(Serializable()), cut_off);
  router.Down(voter);
  EXPECT_EQ(router.Choose(Linearizable()), cut_off);
}

// Without a quorum voters know no leader, and after a while learners are no longer ready either.
TEST_F(RouterTest, WithoutAQuorumWhatMayBeStaleIsServedAllTheSame) {
  const BackendId voter = Voter(1);
  const BackendId learner = Learner(9);
  for (const BackendId id : {voter, learner}) {
    NodeState state = State(id);
    state.ready = false;
    state.leader = NodeId(0);
    state.staleness = 6 * kSecond;
    Say(id, state);
  }
  EXPECT_EQ(router.Choose(Serializable()), learner);
  EXPECT_EQ(router.Choose({.mode = ReadMode::kSerializable, .min_revision = 100}), learner);
  EXPECT_EQ(router.Choose(Bounded(60 * kSecond)), voter) << "who hears of a leader first";
  EXPECT_EQ(router.Choose({.spread = true}), learner)
      << "a watch moves once there is a fresher one";
  EXPECT_EQ(router.Choose(Linearizable()), std::nullopt);
  EXPECT_EQ(router.Choose(Bounded(5 * kSecond)), std::nullopt) << "its bound is not met";
  EXPECT_EQ(router.Choose(AtLeast(101)), std::nullopt);
  EXPECT_EQ(router.Choose(FresherThan(learner)), std::nullopt);
  EXPECT_EQ(router.Choose(Write()), std::nullopt);
  const BackendId ready = Voter(2);
  EXPECT_EQ(router.Choose(Serializable()), ready);
  router.Down(ready);
  router.Down(learner);
  EXPECT_EQ(router.Choose(Serializable()), voter);
  SayStaleness(voter, -1);
  EXPECT_EQ(router.Choose(Serializable()), std::nullopt) << "nobody ever confirmed what it has";
}

TEST_F(RouterTest, AWatchLeavesOneThatIsNotFreshOnlyForAFresherOne) {
  const BackendId stale = Learner(8);
  const BackendId staler = Learner(9);
  const BackendId voter = Voter(1);
  SayStaleness(stale, 4 * kSecond);
  SayStaleness(staler, 4400 * kMillisecond);
  SayStaleness(voter, 10 * kSecond);
  EXPECT_EQ(router.Choose(FresherThan(stale)), std::nullopt);
  EXPECT_EQ(router.Choose(FresherThan(staler)), std::nullopt) << "by less than reports jitter";
  EXPECT_EQ(router.Choose(FresherThan(voter)), stale) << "who is cut off, but less";
  SayStaleness(voter, 0);
  EXPECT_EQ(router.Choose(FresherThan(stale)), voter);
  SayStaleness(staler, 100 * kMillisecond);
  EXPECT_EQ(router.Choose(FresherThan(stale)), staler) << "a learner before a voter";
  SayStaleness(stale, -1);
  SayStaleness(staler, -1);
  EXPECT_EQ(router.Choose(FresherThan(stale)), voter);
}

TEST_F(RouterTest, AWatchLeavesOneThatDrainsForAnyThatIsFresh) {
  const BackendId drains = Learner(8);
  const BackendId other = Learner(9);
  NodeState state = State(drains);
  state.draining = true;
  state.staleness = 0;
  Say(drains, state);
  SayStaleness(other, 2 * kSecond);
  EXPECT_EQ(router.Choose(FresherThan(drains)), other);
  SayStaleness(other, 4 * kSecond);
  EXPECT_EQ(router.Choose(FresherThan(drains)), std::nullopt);
}

TEST_F(RouterTest, AWatchLeavesOneThatFellSilentForOneThatSpeaks) {
  const BackendId hung = Learner(8);
  NextTurn(1100 * kMillisecond);
  const BackendId other = Learner(9);
  EXPECT_EQ(router.Choose(FresherThan(hung)), other);
  EXPECT_EQ(router.Choose(FresherThan(other)), std::nullopt);
}

TEST_F(RouterTest, AWatchGoesToAVoterThatIsCutOffOnlyIfThereIsNobodyElse) {
  const BackendId cut_off = Voter(1);
  const BackendId voter = Voter(2);
  SayStaleness(cut_off, 4 * kSecond);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(router.Choose({.spread = true}), voter);
  router.Down(voter);
  EXPECT_EQ(router.Choose({.spread = true}), cut_off);
}

TEST_F(RouterTest, OneThatFellSilentGetsNothingWhileAnotherSpeaks) {
  const BackendId hung = Learner(8);
  NextTurn(1100 * kMillisecond);
  EXPECT_EQ(router.Choose(Linearizable()), hung);
  EXPECT_TRUE(router.Silent(hung));
  const BackendId voter = Voter(1);
  EXPECT_EQ(router.Choose(Linearizable()), voter);
}

TEST_F(RouterTest, WhatOneSaidOfALeaderIsTrueForThreeElectionTimeouts) {
  const BackendId voter = Voter(1);
  EXPECT_TRUE(router.SpokeLately(voter));
  NextTurn(3 * kSecond);
  EXPECT_TRUE(router.SpokeLately(voter));
  NextTurn();
  EXPECT_FALSE(router.SpokeLately(voter));
  Say(voter, State(voter));
  router.Down(voter);
  EXPECT_FALSE(router.SpokeLately(voter));
}

TEST_F(RouterTest, StaysWithOneLearnerUntilItHas64MoreThanTheLeast) {
  Learner(8);
  Learner(9);
  const BackendId chosen = *router.Choose(Linearizable());
  for (int turn = 0; turn < 8; ++turn) {
    for (int i = 0; i < 8; ++i) router.Sent(chosen);
    NextTurn();
    EXPECT_EQ(router.Choose(Linearizable()), chosen) << turn;
  }
  router.Sent(chosen);
  NextTurn();
  EXPECT_NE(router.Choose(Linearizable()), chosen);
}

TEST_F(RouterTest, OneTurnsReadsGoToOneLearner) {
  Learner(8);
  Learner(9);
  const BackendId chosen = *router.Choose(Linearizable());
  for (int i = 0; i < 300; ++i) {
    router.Sent(chosen);
    ASSERT_EQ(router.Choose(Linearizable()), chosen);
  }
}

TEST_F(RouterTest, LeavesALearnerWhoseLatencyIsHalfAsMuchAgainAsTheBest) {
  const BackendId a = Learner(8);
  const BackendId b = Learner(9);
  const BackendId chosen = *router.Choose(Linearizable());
  const BackendId other = chosen == a ? b : a;
  router.Answered(chosen, 10 * kMillisecond, now);
  router.Answered(other, 9 * kMillisecond, now);
  NextTurn();
  EXPECT_EQ(router.Choose(Linearizable()), chosen);
  router.Sent(chosen);
  NextTurn(2 * kSecond);
  for (const BackendId id : {a, b}) Say(id, State(id));
  router.Answered(chosen, 20 * kMillisecond, now);
  router.Answered(other, 10 * kMillisecond, now);
  NextTurn();
  EXPECT_EQ(router.Choose(Linearizable()), other);
}

TEST_F(RouterTest, AnOldLatencySaysNothing) {
  const BackendId a = Learner(8);
  const BackendId b = Learner(9);
  const BackendId chosen = *router.Choose(Linearizable());
  const BackendId other = chosen == a ? b : a;
  router.Answered(other, kMillisecond, now);
  NextTurn(2 * kSecond);
  for (const BackendId id : {a, b}) Say(id, State(id));
  router.Answered(chosen, 30 * kMillisecond, now);
  router.Sent(chosen);
  NextTurn();
  EXPECT_EQ(router.Choose(Linearizable()), chosen);
}

TEST_F(RouterTest, CountsWhatOtherProxiesHaveOutstanding) {
  const BackendId a = Learner(8);
  const BackendId b = Learner(9);
  NodeState state = State(a);
  state.outstanding = 500;
  Say(a, state);
  NextTurn();
  EXPECT_EQ(router.Choose(Linearizable()), b);
}

TEST_F(RouterTest, LoopsBeginWithDifferentLearners) {
  std::set<BackendId> chosen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    router = Router(RouterOptions{}, Rng(seed));
    router.BeginTurn(now);
    Learner(8);
    Learner(9);
    chosen.insert(*router.Choose(Linearizable()));
  }
  EXPECT_EQ(chosen.size(), 2U);
}

TEST_F(RouterTest, ARemovedOnesPlaceIsUsedAgain) {
  const BackendId a = Learner(8);
  router.Remove(a);
  EXPECT_EQ(router.Choose(Linearizable()), std::nullopt);
  EXPECT_EQ(Learner(9), a);
  EXPECT_EQ(router.Choose(Linearizable()), a);
}

}  // namespace
}  // namespace coppice::proxy
