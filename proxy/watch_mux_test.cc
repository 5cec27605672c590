#include "proxy/watch_mux.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/mvcc/testing/watch_model.h"
#include "proxy/watch_world.h"

namespace coppice::proxy {
namespace {

using mvcc::KeyRange;
using mvcc::ModelEvent;
using mvcc::WatchModel;
using mvcc::WatchSpec;
using testing::ElementsAre;
using testing::IsEmpty;

struct TestSink final : mvcc::WatchSink {
  void OnReady(mvcc::Watcher&) override { ready = true; }
  void OnOpened(mvcc::Watcher&, Revision at) override {
    opened_at = at;
    if (spec.start == 0) {
      EXPECT_GE(at, floor);
    }
    EXPECT_GE(at, spec.min_revision);
    start = spec.start == 0 ? at + 1 : spec.start;
    floor = std::max(floor, at);
  }
  void OnEvents(mvcc::Watcher&, const mvcc::EncodedEventsPtr& encoded) override {
    EXPECT_TRUE(writable);
    EXPECT_NE(opened_at, 0);
    EXPECT_GT(encoded->revision, last_revision) << "ascending, a revision never split";
    last_revision = encoded->revision;
    floor = std::max(floor, last_revision);
    shared = encoded;
    for (ModelEvent& event : mvcc::DecodeEvents(*encoded)) events.push_back(std::move(event));
    if (--room == 0) writable = false;
  }
  void OnCanceled(mvcc::Watcher&, Revision compact, std::string_view) override {
    canceled = true;
    compact_revision = compact;
    watcher = nullptr;
  }
  std::vector<std::string> Values() const {
    std::vector<std::string> out;
    for (const ModelEvent& event : events) out.push_back(event.value);
    return out;
  }

  WatchSpec spec;
  Revision start = 0;
  mvcc::Watcher* watcher = nullptr;
  std::vector<ModelEvent> events;
  mvcc::EncodedEventsPtr shared;
  Revision opened_at = 0;
  Revision last_revision = 0;
  Revision compact_revision = -1;
  std::uint64_t room = UINT64_MAX;
  bool ready = false;
  bool canceled = false;
};

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

  World world_{2, {.ring_bytes = 200}};
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

TEST_F(WatchMuxTest, MovesFromAStaleBackendIfThereIsAnother) {
  TestSink sink;
  Open(sink, Key("a"));
  EXPECT_EQ(world_.backends[0]->hub.watchers(), 1U);
  world_.mux.OnStale(world_.now, 1);
  world_.Settle();
  EXPECT_EQ(world_.backends[0]->hub.watchers(), 0U);
  EXPECT_EQ(world_.backends[1]->hub.watchers(), 1U);
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

TEST_F(WatchMuxTest, OpensNowOnlyAtTheStreamsFloorAndItsMinimum) {
  TestSink sink;
  sink.floor = 3;
  Prepare(sink, Key("a"));
  world_.Settle();
  EXPECT_FALSE(world_.mux.TryOpen(*sink.watcher));
  Put("b", "1");
  Put("b", "2");
  sink.ready = false;
  world_.Settle();
  EXPECT_TRUE(sink.ready);
  EXPECT_TRUE(world_.mux.TryOpen(*sink.watcher));
  EXPECT_EQ(sink.opened_at, 3);
  EXPECT_EQ(world_.mux.Complete(*sink.watcher), 3);
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

// --- Random runs: everything at once, against the model.

class RandomMux {
 public:
  explicit RandomMux(std::uint64_t seed)
      : rng_(seed),
        world_(3, {.ring_bytes = 50 + rng_.Below(1500), .credit = 100, .cohort_revisions = 10}) {
    world_.scatter = seed << 32;
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      Step();
      CheckProgress();
    }
    Heal();
    for (const auto& sink : sinks_) CheckFinal(*sink);
  }

 private:
  void Step() {
    world_.now += static_cast<Micros>(rng_.Below(10'000));
    const std::uint64_t pick = rng_.Below(100);
    if (pick < 20) {
      Commit();
    } else if (pick < 50) {
      Frames();
    } else if (pick < 62) {
      Learner();
    } else if (pick < 67) {
      Create();
    } else if (pick < 80) {
      OpenSome();
    } else if (pick < 88) {
      Slow();
    } else if (pick < 90) {
      Connections();
    } else if (pick < 91) {
      CloseOne();
    } else if (pick < 92 && rng_.Chance(0.2)) {
      world_.compact = rng_.Between(world_.compact, world_.model.revision());
    } else {
      world_.mux.Poll(world_.now);
    }
  }

  std::string RandomKey() { return std::string(1, static_cast<char>('a' + rng_.Below(4))); }

  void Commit() {
    std::vector<WatchModel::Write> writes;
    std::set<std::string> keys;
    for (std::uint64_t n = 1 + rng_.Below(3); n > 0; --n) {
      std::string key = RandomKey();
      if (!keys.insert(key).second) continue;
      std::optional<std::string> value = "v" + std::to_string(++values_);
      if (rng_.Chance(0.3)) value = std::nullopt;
      writes.push_back({std::move(key), std::move(value)});
    }
    world_.model.Commit(writes);
  }
  ConnectionId AnyLink() {
    auto it = world_.links.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng_.Below(world_.links.size())));
    return it->first;
  }
  void Frames() {
    if (world_.links.empty()) return;
    const ConnectionId id = AnyLink();
    for (std::uint64_t n = rng_.Below(6); n > 0; --n) world_.ServerTurn(*world_.links.at(id));
    for (std::uint64_t n = rng_.Below(6); n > 0; --n) world_.ProxyTurn(id);
  }
  void Learner() {
    Backend& backend = *world_.backends[rng_.Below(world_.backends.size())];
    if (rng_.Chance(0.5)) {
      world_.Apply(backend, backend.hub.revision() + rng_.Between(1, 6));
    } else if (rng_.Chance(0.5)) {
      world_.AskHistory(backend);
    } else {
      world_.AnswerHistory(backend, 1 + rng_.Below(5));
    }
  }
  void Create() {
    auto sink = std::make_unique<TestSink>();
    const std::string key = RandomKey();
    sink->spec.range = KeyRange::FromWire(key, rng_.Chance(0.5) ? "" : "d");
    if (sink->spec.range.Empty()) return;
    sink->spec.filters = {rng_.Chance(0.2), rng_.Chance(0.2)};
    sink->spec.prev_kv = rng_.Chance(0.3);
    sink->spec.start = rng_.Chance(0.4) ? 0 : rng_.Between(1, world_.model.revision() + 4);
    if (rng_.Chance(0.2)) sink->spec.min_revision = world_.model.revision();
    if (rng_.Chance(0.2)) sink->floor = world_.model.revision();
    if (rng_.Chance(0.3)) sink->room = 1 + rng_.Below(5);
    sink->watcher = world_.mux.Prepare(sink->spec, *sink);
    sinks_.push_back(std::move(sink));
  }
  void OpenSome() {
    for (const auto& sink : sinks_) {
      if (sink->opened_at == 0 && sink->ready && sink->watcher != nullptr && rng_.Chance(0.7)) {
        world_.mux.TryOpen(*sink->watcher);
      }
    }
  }
  TestSink* Pick() { return sinks_.empty() ? nullptr : sinks_[rng_.Below(sinks_.size())].get(); }
  void Slow() {
    TestSink* sink = Pick();
    if (sink == nullptr) return;
    if (sink->writable && rng_.Chance(0.3)) {
      sink->writable = false;
      sink->blocked_since = world_.now;
    } else if (!sink->writable) {
      Release(*sink, rng_.Chance(0.5) ? UINT64_MAX : 1 + rng_.Below(5));
    }
  }
  void Release(TestSink& sink, std::uint64_t room) {
    sink.writable = true;
    sink.room = room;
    world_.mux.Drained(sink);
  }
  void Connections() {
    if (!world_.links.empty() && rng_.Chance(0.5)) {
      if (rng_.Chance(0.3)) {
        world_.mux.OnStale(world_.now, AnyLink());
      } else {
        world_.Cut(AnyLink());
      }
      return;
    }
    world_.Connect(rng_.Below(world_.backends.size()));
    world_.mux.OnBackendUp(world_.now);
  }
  void CloseOne() {
    if (sinks_.empty()) return;
    const std::size_t at = rng_.Below(sinks_.size());
    if (sinks_[at]->watcher != nullptr) world_.mux.Close(*sinks_[at]->watcher);
    sinks_.erase(sinks_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void CheckProgress() {
    TestSink* sink = Pick();
    if (sink == nullptr || sink->watcher == nullptr || sink->opened_at == 0) return;
    const Revision complete = world_.mux.Complete(*sink->watcher);
    if (complete == 0) return;
    EXPECT_EQ(sink->events, world_.model.Expected(sink->spec, sink->start, complete));
  }
  bool Done() {
    for (const auto& sink : sinks_) {
      if (sink->watcher == nullptr) continue;
      if (sink->opened_at == 0) return false;
      if (world_.mux.Complete(*sink->watcher) < world_.model.revision() &&
          sink->start <= world_.model.revision()) {
        return false;
      }
    }
    return true;
  }
  void Heal() {
    if (world_.links.empty()) world_.Connect(0);
    world_.mux.OnBackendUp(world_.now);
    for (int round = 0; round < 200; ++round) {
      for (const auto& sink : sinks_) {
        if (!sink->writable) Release(*sink, UINT64_MAX);
        if (sink->opened_at == 0 && sink->watcher != nullptr) world_.mux.TryOpen(*sink->watcher);
      }
      world_.Settle();
      if (Done()) return;
    }
    ADD_FAILURE() << "some watcher never reached the final revision";
  }
  void CheckFinal(const TestSink& sink) {
    if (!sink.canceled) {
      EXPECT_EQ(sink.events, world_.model.Expected(sink.spec, sink.start, world_.model.revision()));
      return;
    }
    EXPECT_GT(sink.compact_revision, 0) << "canceled only by compaction";
    EXPECT_LE(sink.compact_revision, world_.compact);
    EXPECT_EQ(sink.events, world_.model.Expected(sink.spec, sink.start, sink.last_revision));
  }

  Rng rng_;
  World world_;
  std::vector<std::unique_ptr<TestSink>> sinks_;
  int values_ = 0;
};

TEST(WatchMuxRandom, EveryWatcherGetsWhatTheModelSays) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    RandomMux(seed).Run(1500);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace coppice::proxy
