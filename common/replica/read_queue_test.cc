#include "common/replica/read_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

namespace coppice::replica {
namespace {

constexpr Time kNow = 100 * kSecond;
constexpr std::uint64_t kCluster = 42;

ReadNode Linearizable() {
  return {};
}
ReadNode Serializable() {
  ReadNode node;
  node.consistency.mode = ReadMode::kSerializable;
  return node;
}
ReadNode Bounded(Micros staleness) {
  ReadNode node;
  node.consistency.mode = ReadMode::kBounded;
  node.consistency.max_staleness = staleness;
  return node;
}

struct Fixture {
  auto Collect() {
    return [this](ReadNode& node, ReadVerdict verdict) { got.emplace_back(&node, verdict); };
  }
  ReadQueue queue{kCluster};
  std::vector<std::pair<ReadNode*, ReadVerdict>> got;
};

TEST(ReadQueue, LinearizableWaitsForItsOwnRound) {
  Fixture f;
  ReadNode a = Linearizable();
  ReadNode b = Linearizable();
  EXPECT_EQ(f.queue.Admit(kNow, {5, kNow}, a), ReadVerdict::kQueued);
  EXPECT_EQ(f.queue.Close(), 0);
  EXPECT_EQ(f.queue.Admit(kNow, {5, kNow}, b), ReadVerdict::kQueued);
  f.queue.OnView(kNow, {6, kNow + 1}, f.Collect());
  EXPECT_TRUE(f.got.empty());
  f.queue.Done(0, {6, kNow}, f.Collect());
  ASSERT_EQ(f.got.size(), 1U);
  EXPECT_EQ(f.got[0], std::make_pair(&a, ReadVerdict::kServe));
  EXPECT_TRUE(b.queued());
  f.queue.Remove(b);
}

TEST(ReadQueue, TwoSlotsAtMostAreClosedAtOnce) {
  Fixture f;
  std::array<ReadNode, 3> nodes;
  for (int i = 0; i < 3; ++i) {
    f.queue.Admit(kNow, {5, kNow}, nodes[static_cast<std::size_t>(i)]);
    EXPECT_EQ(f.queue.Close(), i < 2 ? i : -1);
  }
  f.queue.Done(1, {5, kNow}, f.Collect());
  EXPECT_EQ(f.got.at(0).first, &nodes[1]);
  EXPECT_EQ(f.queue.Close(), 1);
  f.queue.Done(0, {5, kNow}, f.Collect());
  f.queue.Done(1, {5, kNow}, f.Collect());
  EXPECT_TRUE(f.queue.empty());
}

TEST(ReadQueue, SerializableIsServedAtOnceOnceAFirstRoundIsDone) {
  Fixture f;
  ReadNode a = Serializable();
  EXPECT_EQ(f.queue.Admit(kNow, {5, 0}, a), ReadVerdict::kQueued);
  f.queue.OnView(kNow, {5, kNow - 1}, f.Collect());
  EXPECT_EQ(f.got.size(), 1U);
  EXPECT_EQ(f.queue.Admit(kNow, {5, kNow - kSecond}, a), ReadVerdict::kServe);
}

TEST(ReadQueue, BoundedIsServedWithinItsBoundElseJoinsTheNextRound) {
  Fixture f;
  ReadNode a = Bounded(100);
  EXPECT_EQ(f.queue.Admit(kNow, {5, kNow - 100}, a), ReadVerdict::kServe);
  EXPECT_EQ(f.queue.Admit(kNow, {5, kNow - 101}, a), ReadVerdict::kQueued);
  f.queue.OnView(kNow + 10, {5, kNow - 91}, f.Collect());
  EXPECT_TRUE(f.got.empty());
  f.queue.OnView(kNow + 10, {5, kNow - 90}, f.Collect());
  EXPECT_EQ(f.got.size(), 1U);
}

TEST(ReadQueue, MinRevisionWaitsAndIsAFutureRevisionAfterARoundThatDoesNotReachIt) {
  for (const ReadMode mode :
       {ReadMode::kLinearizable, ReadMode::kBounded, ReadMode::kSerializable}) {
    Fixture f;
    ReadNode a;
    a.consistency.mode = mode;
    a.consistency.min_revision = 9;
    EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, a), ReadVerdict::kQueued);
    EXPECT_EQ(f.queue.Close(), 0);
    f.queue.Done(0, {8, kNow}, f.Collect());
    ASSERT_EQ(f.got.size(), 1U);
    EXPECT_EQ(f.got[0].second, ReadVerdict::kFutureRevision);
    EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, a), ReadVerdict::kQueued);
    EXPECT_EQ(f.queue.Close(), 0);
    f.queue.Done(0, {9, kNow}, f.Collect());
    EXPECT_EQ(f.got.at(1).second, ReadVerdict::kServe);
  }
}

TEST(ReadQueue, MinRevisionAloneIsServedAsSoonAsAViewHasIt) {
  Fixture f;
  ReadNode a;
  a.consistency.mode = ReadMode::kBounded;
  a.consistency.min_revision = 9;
  f.queue.Admit(kNow, {8, kNow}, a);
  f.queue.Close();
  f.queue.OnView(kNow, {9, kNow}, f.Collect());
  EXPECT_EQ(f.got.size(), 1U);
  f.queue.Done(0, {9, kNow}, f.Collect());
  EXPECT_EQ(f.got.size(), 1U) << "exactly once";
}

TEST(ReadQueue, AnExplicitRevisionAheadOfWhatIsAppliedGetsOneRoundExceptSerializable) {
  Fixture f;
  ReadNode a = Bounded(kSecond);
  a.revision = 9;
  EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, a), ReadVerdict::kQueued);
  f.queue.Close();
  f.queue.Done(0, {8, kNow}, f.Collect());
  EXPECT_EQ(f.got.at(0).second, ReadVerdict::kServe) << "the store says: future revision";
  ReadNode b = Serializable();
  b.revision = 9;
  EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, b), ReadVerdict::kServe);
}

TEST(ReadQueue, AnotherClustersSessionIsRefused) {
  Fixture f;
  ReadNode a = Serializable();
  a.consistency.session_cluster = kCluster + 1;
  EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, a), ReadVerdict::kOtherCluster);
  a.consistency.session_cluster = kCluster;
  EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, a), ReadVerdict::kServe);
}

TEST(ReadQueue, DeadlinesExpireOnAGridInWhateverListTheReadIs) {
  Fixture f;
  std::array<ReadNode, 3> nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].deadline = kNow + 5 * kMillisecond + static_cast<Time>(i);
    f.queue.Admit(kNow, {8, kNow}, nodes[i]);
    if (i < 2) f.queue.Close();
  }
  EXPECT_EQ(f.queue.NextDeadline(), kNow + 10 * kMillisecond);
  f.queue.Expire(kNow + 9 * kMillisecond, f.Collect());
  EXPECT_TRUE(f.got.empty());
  f.queue.Expire(kNow + 10 * kMillisecond, f.Collect());
  EXPECT_EQ(f.got.size(), 3U);
  EXPECT_EQ(f.queue.NextDeadline(), kNever);
  ReadNode late;
  late.deadline = kNow;
  EXPECT_EQ(f.queue.Admit(kNow, {8, kNow}, late), ReadVerdict::kExpired);
}

TEST(ReadQueue, ARemovedReadIsNotAnswered) {
  Fixture f;
  ReadNode a = Linearizable();
  ReadNode b = Linearizable();
  f.queue.Admit(kNow, {8, kNow}, a);
  f.queue.Admit(kNow, {8, kNow}, b);
  f.queue.Close();
  f.queue.Remove(a);
  f.queue.Done(0, {8, kNow}, f.Collect());
  ASSERT_EQ(f.got.size(), 1U);
  EXPECT_EQ(f.got[0].first, &b);
}

TEST(ReadQueue, ACallbackMayAdmitAndRemoveOthers) {
  Fixture f;
  ReadNode a;
  ReadNode b;
  ReadNode c;
  f.queue.Admit(kNow, {8, kNow}, a);
  f.queue.Admit(kNow, {8, kNow}, b);
  f.queue.Close();
  int calls = 0;
  f.queue.Done(0, {8, kNow}, [&](ReadNode& node, ReadVerdict) {
    ++calls;
    EXPECT_EQ(&node, &a);
    f.queue.Remove(b);
    f.queue.Admit(kNow, {8, kNow}, c);
  });
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(c.queued());
  f.queue.Remove(c);
}

}  // namespace
}  // namespace coppice::replica
