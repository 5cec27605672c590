#include "common/replica/tail_sink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace coppice::replica {
namespace {

using Sink = TailSink;
constexpr std::uint64_t kCluster = 9;

EntryPtr At(std::uint64_t index, std::uint64_t term = 1, std::size_t bytes = 68) {
  return Entry::Make(Term(term), Index(index), RecordKind::kCommand, std::string(bytes, 'x'));
}

struct Fixture {
  explicit Fixture(std::size_t buffer = 16U << 20) : sink({kCluster, NodeId(50), buffer}, Rng(1)) {}
  Sink::Output& Do(const Sink::Input& input) {
    out.Clear();
    sink.Step(now, input, out);
    return out;
  }
  // Steps the timer until a connection is started; returns its link, its address in `address`.
  std::uint64_t NextConnect() {
    for (int i = 0; i < 100 && out.connect.empty(); ++i) {
      if (sink.NextDeadline() == kNever) return 0;
      now = std::max(now, sink.NextDeadline());
      Do(Sink::Timer{});
    }
    if (out.connect.empty()) return 0;
    address = out.connect[0].address;
    return out.connect[0].link;
  }
  TailState StateOf(std::vector<NodeId> path, bool leader = false, Micros age = 10) const {
    return {kCluster, std::move(path), true, leader, Index(100), age};
  }
  std::uint64_t Subscribed(std::vector<Sink::Candidate> list, std::vector<NodeId> path) {
    Do(Sink::Candidates{std::move(list)});
    const auto link = NextConnect();
    Do(Sink::State{link, StateOf(std::move(path))});
    EXPECT_EQ(out.subscribe.size(), 1U);
    return link;
  }
  Time now = 1000 * kSecond;
  Sink sink;
  Sink::Output out;
  std::string address;
};

Sink::Candidate Configured(std::string address) {
  return {std::move(address), NodeId(0), false, true};
}

TEST(TailSink, SubscribesAtItsOwnIndexAndTermOnceTheUpstreamToldItsState) {
  Fixture f;
  f.Do(Sink::SnapshotInstalled{Index(7), Term(3), 0});
  f.Do(Sink::Candidates{{Configured("a")}});
  const auto link = f.NextConnect();
  ASSERT_NE(link, 0U);
  EXPECT_TRUE(f.Do(Sink::ConnectionUp{link}).subscribe.empty());
  f.Do(Sink::State{link, f.StateOf({NodeId(1)})});
  ASSERT_EQ(f.out.subscribe.size(), 1U);
  EXPECT_EQ(f.out.subscribe[0].message.index, Index(7));
  EXPECT_EQ(f.out.subscribe[0].message.term, Term(3));
  EXPECT_EQ(f.out.upstream, link);
  EXPECT_EQ(f.out.path, (Sink::Path{{NodeId(50), NodeId(1)}, true}));
}

TEST(TailSink, GivesEachEntryOnceInOrderAndSkipsWhatItHas) {
  Fixture f;
  const auto link = f.Subscribed({Configured("a")}, {NodeId(1)});
  f.Do(Sink::Entries{link, {Index(2), {At(1), At(2)}}});
  EXPECT_EQ(f.out.apply.size(), 2U);
  f.Do(Sink::Entries{link, {Index(3), {At(2), At(3)}}});
  ASSERT_EQ(f.out.apply.size(), 1U);
  EXPECT_EQ(f.out.apply[0]->index(), Index(3));
}

TEST(TailSink, AHoleOrATermThatGoesBackEndsTheSubscription) {
  Fixture f;
  const auto link = f.Subscribed({Configured("a")}, {NodeId(1)});
  f.Do(Sink::Entries{link, {Index(2), {At(2)}}});
  EXPECT_TRUE(f.out.apply.empty());
  EXPECT_EQ(f.out.upstream, 0U);
  Fixture g;
  const auto second = g.Subscribed({Configured("a")}, {NodeId(1)});
  g.Do(Sink::Entries{second, {Index(2), {At(1, 5), At(2, 4)}}});
  EXPECT_EQ(g.out.apply.size(), 1U);
  EXPECT_EQ(g.out.upstream, 0U);
}

TEST(TailSink, FramesOfAnEarlierConnectionAreIgnored) {
  Fixture f;
  const auto link = f.Subscribed({Configured("a"), Configured("b")}, {NodeId(1)});
  f.Do(Sink::ConnectionLost{link});
  f.Do(Sink::Entries{link, {Index(1), {At(1)}}});
  EXPECT_TRUE(f.out.apply.empty());
}

TEST(TailSink, RefusesAnUpstreamBelowItselfTooDeepOrOfAnotherCluster) {
  std::vector<NodeId> deep;
  for (std::uint64_t i = 1; i <= 9; ++i) deep.emplace_back(i);
  TailState other{kCluster + 1, {NodeId(1)}, true, false, Index(1), 1};
  Fixture f;
  for (const TailState& state :
       {f.StateOf({NodeId(1), NodeId(50)}), f.StateOf(deep), f.StateOf({}), other}) {
    Fixture g;
    g.Do(Sink::Candidates{{Configured("a")}});
    const auto link = g.NextConnect();
    g.Do(Sink::State{link, state});
    EXPECT_TRUE(g.out.subscribe.empty());
    EXPECT_EQ(g.out.disconnect, std::vector<std::uint64_t>{link});
  }
}

TEST(TailSink, DoesNotChooseARelayThatHasNoVoterAboveItButStaysWithOneThatLosesIt) {
  Fixture f;
  f.Do(Sink::Candidates{{Configured("a")}});
  TailState state = f.StateOf({NodeId(60)});
  state.rooted = false;
  f.Do(Sink::State{f.NextConnect(), state});
  EXPECT_TRUE(f.out.subscribe.empty());
  const auto link = f.NextConnect();
  f.Do(Sink::State{link, f.StateOf({NodeId(60), NodeId(1)})});
  ASSERT_EQ(f.out.subscribe.size(), 1U);
  f.Do(Sink::State{link, state});
  EXPECT_EQ(f.sink.upstream(), link);
  EXPECT_FALSE(f.out.path->rooted);
}

TEST(TailSink, RelaysWithoutAVoterAboveThemDoNotKeepItFromTheLeader) {
  Fixture f;
  const auto leader = f.Subscribed({Configured("leader"),
                                    {"relay a", NodeId(60), false, false},
                                    {"relay b", NodeId(61), false, false}},
                                   {NodeId(1)});
  f.Do(Sink::State{leader, f.StateOf({NodeId(1)}, true)});
  f.Do(Sink::ConnectionLost{leader});
  TailState state = f.StateOf({NodeId(60)});
  state.rooted = false;
  for (int i = 0; i < 10; ++i) {
    const auto link = f.NextConnect();
    if (f.address == "leader") break;
    f.now += 130 * kMillisecond;  // before one has answered, the other may be asked again
    f.Do(Sink::State{link, state});
  }
  EXPECT_EQ(f.address, "leader");
}

TEST(TailSink, LeavesAnUpstreamWhosePathComesToContainIt) {
  Fixture f;
  const auto link = f.Subscribed({Configured("a")}, {NodeId(1)});
  f.Do(Sink::State{link, f.StateOf({NodeId(1), NodeId(50)})});
  EXPECT_EQ(f.out.upstream, 0U);
}

TEST(TailSink, AnUpstreamThatDiesIsReplacedAtOnceByAnotherAndRetriedWithBackOff) {
  Fixture f;
  const auto link = f.Subscribed({Configured("a"), Configured("b")}, {NodeId(1)});
  const std::string first = f.address;
  f.Do(Sink::ConnectionLost{link});
  ASSERT_EQ(f.out.connect.size(), 1U);
  EXPECT_NE(f.out.connect[0].address, first);
  Time last = f.now;
  std::vector<Micros> waits;
  Fixture g;
  g.Do(Sink::Candidates{{Configured("a")}});
  for (int i = 0; i < 10; ++i) {
    const auto attempt = g.NextConnect();
    waits.push_back(g.now - last);
    last = g.now;
    g.Do(Sink::ConnectionLost{attempt});
  }
  EXPECT_GT(waits.back(), 2 * kSecond);
  EXPECT_LE(waits.back(), 5 * kSecond);
}

TEST(TailSink, PrefersConfiguredUpstreamsThenVotersThenRelays) {
  Fixture f;
  f.Do(Sink::Candidates{{{"relay", NodeId(60), false, false},
                         {"voter", NodeId(2), true, false},
                         Configured("mine")}});
  EXPECT_EQ(f.out.connect.at(0).address, "mine");
  f.Do(Sink::ConnectionLost{f.out.connect[0].link});
  EXPECT_EQ(f.out.connect.at(0).address, "voter");
  f.Do(Sink::ConnectionLost{f.out.connect[0].link});
  EXPECT_EQ(f.out.connect.at(0).address, "relay");
}

TEST(TailSink, SentAwayByALeaderItGoesToAFollowerAndInsistsIfNoneIsAlive) {
  Fixture f;
  const auto link = f.Subscribed({Configured("leader")}, {NodeId(1)});
  f.Do(Sink::Refused{link, {TailRefusal::kUseFollower, {"follower"}}});
  ASSERT_EQ(f.out.connect.size(), 1U);
  EXPECT_EQ(f.out.connect[0].address, "follower");
  f.Do(Sink::ConnectionLost{f.out.connect[0].link});
  f.address.clear();
  for (int i = 0; i < 10 && f.address != "leader"; ++i) {
    const auto attempt = f.NextConnect();
    if (f.address != "leader") f.Do(Sink::ConnectionLost{attempt});
  }
  ASSERT_EQ(f.address, "leader");
  f.Do(Sink::State{f.out.connect.at(0).link, f.StateOf({NodeId(1)}, true)});
  EXPECT_TRUE(f.out.subscribe.at(0).message.insist);
}

TEST(TailSink, WithoutARoundIn3HeartbeatsItSwitchesToWhoReportsANewerOneElseStays) {
  for (const Micros age : {Micros(10), 10 * kSecond, Micros(-1)}) {
    Fixture f;
    const auto link = f.Subscribed({Configured("a"), Configured("b")}, {NodeId(1)});
    f.Do(Sink::RoundCompleted{f.now});
    const Time last = f.now;
    const auto probe = f.NextConnect();
    EXPECT_EQ(f.now, last + 300 * kMillisecond);
    f.Do(Sink::State{probe, f.StateOf({NodeId(2)}, false, age)});
    if (age == 10) {
      EXPECT_EQ(f.out.disconnect, std::vector<std::uint64_t>{link});
      EXPECT_EQ(f.sink.upstream(), probe);
    } else {
      EXPECT_EQ(f.out.disconnect, std::vector<std::uint64_t>{probe});
      EXPECT_EQ(f.sink.upstream(), link);
    }
  }
}

TEST(TailSink, AnUpstreamWhoseRoundsTakeLongButKeepComingIsKept) {
  Fixture f;
  f.Subscribed({Configured("a"), Configured("b")}, {NodeId(1)});
  for (int i = 0; i < 20; ++i) {
    f.now += 100 * kMillisecond;
    f.Do(Sink::Timer{});
    EXPECT_TRUE(f.out.connect.empty());
    f.Do(Sink::RoundCompleted{f.now - 290 * kMillisecond});
  }
  // However many come, each was asked long ago.
  for (int i = 0; i < 20 && f.out.connect.empty(); ++i) {
    f.now += 100 * kMillisecond;
    f.Do(Sink::RoundCompleted{f.now - 1100 * kMillisecond});
  }
  EXPECT_FALSE(f.out.connect.empty());
}

// Seeds 40, 99, 116 and 150: over links of 30 ms no upstream was kept until its first round.
TEST(TailSink, UpstreamsThatDoNotGetAsFarAsARoundAreGivenMoreTimeEach) {
  Fixture f;
  f.Subscribed({Configured("a"), Configured("b")}, {NodeId(1)});
  for (const Micros patience : {300, 600, 1200, 2400}) {
    const Time since = f.now;
    f.out.Clear();
    const auto probe = f.NextConnect();
    EXPECT_EQ(f.now, since + patience * kMillisecond);
    f.Do(Sink::State{probe, f.StateOf({NodeId(2)})});
    ASSERT_EQ(f.sink.upstream(), probe);
  }
  f.now += 350 * kMillisecond;
  f.Do(Sink::RoundCompleted{f.now - 350 * kMillisecond});
  f.out.Clear();
  const Time done = f.now;
  f.NextConnect();
  EXPECT_EQ(f.now, done + 650 * kMillisecond) << "10 heartbeats after the round was sent";
}

TEST(TailSink, BehindTakesTheGapFromAVoterAndReturns) {
  Fixture f;
  const auto link = f.Subscribed({Configured("relay"), {"voter", NodeId(2), true, false}},
                                 {NodeId(60), NodeId(2)});
  ASSERT_EQ(f.address, "relay");
  f.Do(Sink::Behind{link, {Index(3)}});
  ASSERT_EQ(f.out.connect.size(), 1U);
  EXPECT_EQ(f.out.connect[0].address, "voter");
  const auto voter = f.out.connect[0].link;
  f.Do(Sink::State{voter, {kCluster, {NodeId(2)}, true, false, Index(4), 10}});
  f.out.Clear();
  f.now += 60 * kMillisecond;
  f.Do(Sink::RoundCompleted{f.now});
  f.Do(Sink::Entries{voter, {Index(4), {At(1), At(2), At(3)}}});
  EXPECT_TRUE(f.out.connect.empty()) << "not caught up";
  f.sink.Step(f.now, Sink::Entries{voter, {Index(100), {At(4)}}}, f.out);
  std::vector<EntryPtr> rest;
  for (std::uint64_t i = 5; i <= 100; ++i) rest.push_back(At(i));
  f.Do(Sink::Entries{voter, {Index(100), rest}});
  ASSERT_EQ(f.out.connect.size(), 1U);
  EXPECT_EQ(f.out.connect[0].address, "relay");
  const auto back = f.out.connect[0].link;
  f.Do(Sink::State{back, f.StateOf({NodeId(60), NodeId(2)})});
  EXPECT_EQ(f.sink.upstream(), back);
  EXPECT_EQ(f.out.subscribe.at(0).message.index, Index(100));
}

TEST(TailSink, WhoKnowsOnlyARelayThatIsBehindIsToldOfVoters) {
  Fixture f;
  const auto link = f.Subscribed({Configured("relay")}, {NodeId(60), NodeId(2)});
  f.Do(Sink::Behind{link, {Index(3), {"voter"}}});
  EXPECT_FALSE(f.out.need_snapshot);
  ASSERT_EQ(f.out.connect.size(), 1U);
  EXPECT_EQ(f.out.connect[0].address, "voter");
}

TEST(TailSink, AMismatchOrAVoterThatIsBehindAsksForASnapshot) {
  Fixture f;
  f.Do(Sink::SnapshotInstalled{Index(7), Term(3), 0});
  const auto link = f.Subscribed({Configured("a")}, {NodeId(1)});
  f.Do(Sink::Refused{link, {TailRefusal::kMismatch, {}}});
  EXPECT_TRUE(f.out.need_snapshot);
  EXPECT_EQ(f.sink.NextDeadline(), kNever);
  f.now += kSecond;
  f.Do(Sink::SnapshotInstalled{Index(90), Term(4), 0});
  const auto again = f.NextConnect();
  f.Do(Sink::State{again, f.StateOf({NodeId(1)})});
  EXPECT_EQ(f.out.subscribe.at(0).message.index, Index(90));
  f.Do(Sink::Behind{again, {Index(95)}});
  EXPECT_TRUE(f.out.need_snapshot);
}

TEST(TailSink, CreditComesBackAsEntriesAreApplied) {
  Fixture f(1000);
  f.Do(Sink::Candidates{{Configured("a")}});
  const auto link = f.NextConnect();
  f.Do(Sink::State{link, f.StateOf({NodeId(1)})});
  EXPECT_EQ(f.out.subscribe.at(0).message.credit, 1000U);
  std::vector<EntryPtr> ten;
  for (std::uint64_t i = 1; i <= 10; ++i) ten.push_back(At(i));
  f.Do(Sink::Entries{link, {Index(10), ten}});
  EXPECT_EQ(f.sink.buffered_bytes(), 1000U);
  EXPECT_TRUE(f.Do(Sink::Applied{Index(2)}).credit.empty()) << "in portions of a quarter";
  EXPECT_EQ(f.Do(Sink::Applied{Index(3)}).credit.at(0).bytes, 300U);
}

}  // namespace
}  // namespace coppice::replica
