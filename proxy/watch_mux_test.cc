#include "proxy/watch_mux.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proxy/watch_test_sink.h"
#include "proxy/watch_world.h"

namespace coppice::proxy {
namespace {

using mvcc::KeyRange;
using mvcc::WatchSpec;
using testing::ElementsAre;
using testing::IsEmpty;

class WatchMuxTest : public testing::Test {
 protected:
  void Put(const std::string& key, const std::string& value) {
    world_.model.Commit({{key, value}});
  }
  void Prepare(TestSink& sink, const WatchSpec& spec) {
    sink.spec = spec;
    sink.watcher = world_.mux.Prepare(spec, sink);
  }
  void Open(TestSink& sink, const WatchSpec& spec) {
    Prepare(sink, spec);
    world_.Settle();
    ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
    world_.Settle();
  }
  static WatchSpec Key(const std::string& key, Revision start = 0) {
    return {.range = KeyRange::FromWire(key, ""), .start = start};
  }

  World world_{2, {.ring_bytes = 600}};
};

TEST_F(WatchMuxTest, WatchersOfOneRangeShareOneUpstreamAndItsEncoding) {
  TestSink one;
  TestSink two;
  Open(one, Key("a"));
  Open(two, Key("a"));
  EXPECT_EQ(world_.mux.subscriptions(), 1U);
  EXPECT_EQ(world_.mux.upstreams(), 1U);
  Put("a", "1");
  world_.Settle();
  EXPECT_THAT(one.Values(), ElementsAre("1"));
  EXPECT_EQ(one.shared, two.shared);
  world_.mux.Close(*one.watcher);
  world_.mux.Close(*two.watcher);
  world_.Settle();
  EXPECT_EQ(world_.mux.subscriptions(), 0U);
  EXPECT_EQ(world_.backends[0]->hub.watchers(), 0U);
}

TEST_F(WatchMuxTest, PastStartGetsHistoryAndThenTheSharedEvents) {
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  TestSink sink;
  Open(sink, Key("a", 3));
  EXPECT_THAT(sink.Values(), ElementsAre("2", "3"));
  EXPECT_EQ(world_.mux.upstreams(), 1U) << "the catch-up is over";
  Put("a", "4");
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("2", "3", "4"));
}

TEST_F(WatchMuxTest, RecentStartIsServedFromTheRing) {
  TestSink first;
  Open(first, Key("a"));
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  world_.Settle();
  TestSink sink;
  Prepare(sink, Key("a", 3));
  ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
  world_.mux.Poll(world_.now);
  EXPECT_THAT(sink.Values(), ElementsAre("2", "3"));
}

TEST_F(WatchMuxTest, LostUpstreamResumesElsewhereWithoutGapOrRepeat) {
  TestSink sink;
  Open(sink, Key("a"));
  Put("a", "1");
  world_.Settle();
  world_.Cut(1);
  Put("a", "2");
  world_.Settle();
  world_.Cut(2);
  Put("a", "3");
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("1", "2"));
  world_.Connect(0);
  world_.mux.OnBackendUp(world_.now);
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("1", "2", "3"));
}

TEST_F(WatchMuxTest, MovesFromAStaleBackendOnceThereIsAFresherOne) {
  TestSink sink;
  Open(sink, Key("a"));
  world_.mux.OnStale(world_.now, 1);
  world_.Settle();
  EXPECT_EQ(world_.backends[0]->hub.watchers(), 1U) << "the other is not fresher";
  world_.rounds[2] = 1;
  world_.mux.OnStale(world_.now, 1);
  world_.Settle();
  EXPECT_EQ(world_.backends[0]->hub.watchers(), 0U);
  EXPECT_EQ(world_.backends[1]->hub.watchers(), 1U);
  Put("a", "1");
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("1"));
}

TEST_F(WatchMuxTest, ACatchUpMovesFromAStaleBackendAndGoesOnWhereItWas) {
  for (int i = 0; i < 6; ++i) Put("a", std::to_string(i));
  TestSink sink;
  Prepare(sink, Key("a", 1));
  world_.Settle();
  ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
  world_.mux.Poll(world_.now);
  ASSERT_EQ(world_.mux.upstreams(), 2U);
  world_.ServerTurn(*world_.links.at(1));
  world_.AnswerHistory(*world_.backends[0], 2);
  world_.ServerTurn(*world_.links.at(1));
  for (int i = 0; i < 5 && sink.events.empty(); ++i) world_.ProxyTurn(1);
  ASSERT_FALSE(sink.events.empty());
  ASSERT_LT(sink.events.size(), 6U);
  world_.rounds[2] = 1;
  world_.mux.OnStale(world_.now, 1);
  EXPECT_EQ(world_.mux.upstreams(), 2U);
  world_.ServerTurn(*world_.links.at(1));
  world_.ServerTurn(*world_.links.at(1));
  EXPECT_EQ(world_.backends[0]->hub.watchers(), 0U);
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("0", "1", "2", "3", "4", "5"));
}

TEST_F(WatchMuxTest, StartBelowTheKnownCompactionIsCanceledEvenIfBuffered) {
  TestSink first;
  Open(first, Key("a"));
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  world_.Settle();
  world_.compact = 4;
  world_.Settle();
  world_.now += kSecond;
  world_.Settle();
  TestSink sink;
  Prepare(sink, Key("a", 3));
  ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
  EXPECT_TRUE(sink.canceled);
  EXPECT_EQ(sink.compact_revision, 4);
}

TEST_F(WatchMuxTest, ACompactionKnownToTheAdmissionCancelsBeforeAnyWatermarkTells) {
  TestSink first;
  Open(first, Key("a"));
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  world_.Settle();
  TestSink sink;
  Prepare(sink, Key("a", 3));
  world_.mux.LearnCompaction(4);
  ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
  EXPECT_TRUE(sink.canceled);
  EXPECT_EQ(sink.compact_revision, 4);
}

TEST_F(WatchMuxTest, LiveWatchersAreCanceledIfTheirGapWasCompacted) {
  TestSink sink;
  Open(sink, Key("a"));
  world_.Cut(1);
  world_.Cut(2);
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  world_.compact = 4;
  world_.Settle();
  world_.Connect(0);
  world_.mux.OnBackendUp(world_.now);
  world_.Settle();
  EXPECT_TRUE(sink.canceled);
  EXPECT_EQ(sink.compact_revision, 4);
}

TEST_F(WatchMuxTest, AFutureStartOutlivesACompactionBelowItAndMissesNothing) {
  TestSink now;
  TestSink soon;
  TestSink later;
  Open(now, Key("a"));
  Open(soon, Key("a", 5));
  Open(later, Key("a", 7));
  world_.Cut(1);
  world_.Cut(2);
  for (const char* value : {"1", "2", "3", "4"}) Put("a", value);  // up to revision 5
  world_.compact = 4;
  world_.Settle();
  world_.Connect(0);
  world_.mux.OnBackendUp(world_.now);
  world_.Settle();
  EXPECT_TRUE(now.canceled);
  EXPECT_FALSE(soon.canceled);
  EXPECT_FALSE(later.canceled);
  for (const char* value : {"5", "6", "7"}) Put("a", value);
  world_.Settle();
  EXPECT_THAT(soon.Values(), ElementsAre("4", "5", "6", "7"));
  EXPECT_THAT(later.Values(), ElementsAre("6", "7"));
}

TEST_F(WatchMuxTest, OpensOnceTheUpstreamIsThere) {
  TestSink sink;
  Prepare(sink, Key("a"));
  EXPECT_FALSE(world_.mux.TryOpen(*sink.watcher));
  world_.Settle();
  EXPECT_TRUE(sink.ready);
  EXPECT_TRUE(world_.mux.TryOpen(*sink.watcher));
  EXPECT_EQ(sink.opened_at, 1);
  EXPECT_EQ(world_.mux.Complete(*sink.watcher), 1);
}

// The learner is at revision 1; the stream has seen 3, or a round was confirmed at 3.
TEST(WatchMux, OpensNowAboveALearnerThatIsBehindAndGetsWhatFollows) {
  for (const bool by_floor : {true, false}) {
    World world{1, {}};
    TestSink sink;
    sink.floor = by_floor ? 3 : 0;
    sink.spec = {.range = KeyRange::FromWire("a", ""), .min_revision = by_floor ? 0 : 3};
    sink.watcher = world.mux.Prepare(sink.spec, sink);
    world.Settle();
    ASSERT_TRUE(world.mux.TryOpen(*sink.watcher));
    EXPECT_EQ(sink.opened_at, 3);
    EXPECT_EQ(world.mux.Complete(*sink.watcher), 0);
    world.model.Commit({{"a", "2"}});
    world.Settle();
    EXPECT_EQ(world.mux.Complete(*sink.watcher), 0);
    world.model.Commit({{"a", "3"}});
    world.Settle();
    EXPECT_EQ(world.mux.Complete(*sink.watcher), 3) << "nothing is missing up to created's header";
    EXPECT_THAT(sink.Values(), IsEmpty());
    world.model.Commit({{"a", "4"}});
    world.Settle();
    EXPECT_THAT(sink.Values(), ElementsAre("4"));
    EXPECT_EQ(world.mux.Complete(*sink.watcher), 4);
  }
}

TEST_F(WatchMuxTest, APastStartOpensAtItsRoundThoughTheLearnerIsBehindThat) {
  TestSink sink;
  Prepare(sink, {.range = KeyRange::FromWire("a", ""), .start = 2, .min_revision = 3});
  world_.Settle();
  ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
  EXPECT_EQ(sink.opened_at, 3);
  for (const char* value : {"2", "3"}) Put("a", value);
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("2", "3"));
}

TEST_F(WatchMuxTest, OpensNowWhileNoBackendIsThere) {
  TestSink first;
  Open(first, Key("a"));
  world_.Cut(1);
  world_.Cut(2);
  TestSink sink;
  sink.floor = 2;
  Prepare(sink, Key("a"));
  ASSERT_TRUE(world_.mux.TryOpen(*sink.watcher));
  for (const char* value : {"2", "3"}) Put("a", value);
  world_.Connect(0);
  world_.mux.OnBackendUp(world_.now);
  world_.Settle();
  EXPECT_THAT(sink.Values(), ElementsAre("3"));
}

TEST_F(WatchMuxTest, SlowWatcherCatchesUpBeyondTheRing) {
  TestSink slow;
  TestSink fast;
  slow.room = 1;
  Open(slow, Key("a"));
  Open(fast, Key("a"));
  for (int i = 0; i < 30; ++i) {
    Put("a", std::to_string(i));
    world_.Settle();
  }
  EXPECT_EQ(fast.events.size(), 30U);
  EXPECT_EQ(slow.events.size(), 1U);
  slow.writable = true;
  world_.mux.Drained(slow);
  world_.Settle();
  EXPECT_EQ(slow.events, fast.events);
}

TEST(WatchMux, RingsHaveACommonBoundThatTheLargestPay) {
  constexpr std::size_t kBytes = 4000;
  World world{2, {.rings_bytes = kBytes, .stall_max = 3600 * kSecond}};
  const auto open = [&world](TestSink& sink, const char* key, Revision start) {
    sink.spec = {.range = KeyRange::FromWire(key, ""), .start = start};
    sink.watcher = world.mux.Prepare(sink.spec, sink);
    if (start == 0) world.Settle();
    EXPECT_TRUE(world.mux.TryOpen(*sink.watcher));
  };
  TestSink large;
  TestSink slow;
  TestSink small;
  open(large, "large", 0);
  open(slow, "large", 0);
  open(small, "small", 0);
  slow.writable = false;
  world.model.Commit({{"small", "0"}});
  for (int i = 0; i < 100; ++i) {
    world.model.Commit({{"large", std::to_string(i)}});
    world.Settle();
    EXPECT_LE(world.mux.ring_bytes(), kBytes);
  }
  EXPECT_GT(world.mux.ring_bytes(), kBytes / 2);
  EXPECT_EQ(large.events.size(), 100U);

  TestSink past_small;
  open(past_small, "small", 2);
  world.mux.Poll(world.now);
  EXPECT_THAT(past_small.Values(), ElementsAre("0")) << "the small ring lost nothing";
  TestSink past_large;
  open(past_large, "large", 2);
  world.mux.Poll(world.now);
  EXPECT_THAT(past_large.Values(), IsEmpty());
  slow.writable = true;
  world.mux.Drained(slow);
  world.Settle();
  EXPECT_EQ(past_large.events, large.events);
  EXPECT_EQ(slow.events, large.events);

  for (TestSink* sink : {&large, &slow, &small, &past_small, &past_large}) {
    world.mux.Close(*sink->watcher);
  }
  world.Settle();
  EXPECT_EQ(world.mux.ring_bytes(), 0U);
}

TEST_F(WatchMuxTest, BlockedForAMinuteOffTheRingIsCanceled) {
  TestSink slow;
  slow.room = 1;
  slow.blocked_since = world_.now;
  Open(slow, Key("a"));
  for (int i = 0; i < 30; ++i) Put("a", std::to_string(i));
  world_.Settle();
  EXPECT_FALSE(slow.canceled);
  world_.now += 61 * kSecond;
  world_.Settle();
  EXPECT_TRUE(slow.canceled);
  EXPECT_EQ(slow.compact_revision, 0);
}

TEST_F(WatchMuxTest, MalformedFrameIsReported) {
  TestSink sink;
  Open(sink, Key("a"));
  EXPECT_FALSE(world_.mux.OnFrame(
      world_.now, 1, {.type = io::FrameType::kWatermark, .stream = {}, .payload = "short"}));
}

}  // namespace
}  // namespace coppice::proxy
