#include "common/replica/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/mvcc/testing/watch_model.h"
#include "common/replica/watch_events.h"

namespace coppice::replica {
namespace {

using mvcc::KeyRange;
using mvcc::ModelEvent;
using mvcc::WatchModel;
using mvcc::WatchSpec;
using testing::ElementsAre;
using testing::IsEmpty;

// Collects what one watcher gets; becomes unwritable after `room` revisions.
struct TestSink final : mvcc::WatchSink {
  void OnReady(mvcc::Watcher&) override { ready = true; }
  void OnOpened(mvcc::Watcher&, Revision at) override { opened_at = at; }
  void OnEvents(mvcc::Watcher& watcher, const mvcc::EncodedEventsPtr& encoded) override {
    EXPECT_TRUE(writable);
    EXPECT_NE(opened_at, 0);
    EXPECT_EQ(&watcher, this->watcher);
    EXPECT_GT(encoded->revision, last_revision) << "ascending, a revision never split";
    last_revision = encoded->revision;
    shared = encoded;
    for (ModelEvent& event : mvcc::DecodeEvents(*encoded)) events.push_back(std::move(event));
    if (--room == 0) writable = false;
  }
  void OnCanceled(mvcc::Watcher&, Revision compact, std::string_view why) override {
    canceled = true;
    compact_revision = compact;
    reason = why;
    watcher = nullptr;
  }

  mvcc::Watcher* watcher = nullptr;
  std::vector<ModelEvent> events;
  mvcc::EncodedEventsPtr shared;
  Revision opened_at = 0;
  Revision last_revision = 0;
  Revision compact_revision = -1;
  std::string reason;
  std::uint64_t room = UINT64_MAX;
  bool ready = false;
  bool canceled = false;
};

class WatchHubTest : public testing::Test {
 protected:
  mvcc::EventBatchPtr Put(const std::string& key, const std::string& value) {
    mvcc::EventBatchPtr batch = model_.Commit({{key, value}});
    hub_.OnBatch(batch);
    return batch;
  }
  void Delete(const std::string& key) { hub_.OnBatch(model_.Commit({{key, std::nullopt}})); }
  void Open(TestSink& sink, const WatchSpec& spec) {
    sink.watcher = hub_.Prepare(spec, sink);
    ASSERT_TRUE(hub_.TryOpen(*sink.watcher));
  }
  static WatchSpec Key(const std::string& key, Revision start = 0) {
    return {.range = KeyRange::FromWire(key, ""), .start = start};
  }
  static WatchSpec Range(const std::string& begin, const std::string& end, Revision start = 0) {
    return {.range = KeyRange::FromWire(begin, end), .start = start};
  }
  void AnswerHistory(std::size_t max = SIZE_MAX) {
    while (const std::optional<NeedHistory> need = hub_.PollHistory()) Answer(*need, max);
  }
  void Answer(const NeedHistory& need, std::size_t max = SIZE_MAX) {
    History history{.batches = model_.From(need.from, max)};
    history.next = history.batches.empty() ? need.to + 1 : history.batches.back()->revision + 1;
    hub_.OnHistory(history);
  }
  std::vector<std::string> Values(const TestSink& sink) {
    std::vector<std::string> out;
    for (const ModelEvent& event : sink.events) out.push_back(event.value);
    return out;
  }

  WatchModel model_;
  WatchHub hub_{{}, 1, 0};
};

TEST_F(WatchHubTest, LiveWatcherGetsItsKeyOnly) {
  TestSink sink;
  Open(sink, Key("a"));
  EXPECT_EQ(sink.opened_at, 1);
  Put("a", "1");
  Put("b", "2");
  Put("a", "3");
  EXPECT_THAT(Values(sink), ElementsAre("1", "3"));
  EXPECT_EQ(hub_.Complete(*sink.watcher), 4);
}

TEST_F(WatchHubTest, SameRangeSharesOneEncoding) {
  TestSink one;
  TestSink two;
  Open(one, Range("a", "c"));
  Open(two, Range("a", "c"));
  Put("b", "1");
  EXPECT_EQ(one.shared, two.shared);
}

TEST_F(WatchHubTest, FiltersAndPrevKvAreEachWatchersOwn) {
  TestSink puts;
  TestSink deletes;
  WatchSpec spec = Key("a");
  spec.filters.no_delete = true;
  Open(puts, spec);
  spec.filters = {.no_put = true};
  spec.prev_kv = true;
  Open(deletes, spec);
  Put("a", "1");
  Delete("a");
  EXPECT_THAT(puts.events, ElementsAre(ModelEvent{2, false, "a", "1", 2, ""}));
  EXPECT_THAT(deletes.events, ElementsAre(ModelEvent{3, true, "a", "", 0, "1"}));
}

TEST_F(WatchHubTest, PastStartComesFromHistoryAndThenLive) {
  Put("a", "1");
  Put("a", "2");
  Put("a", "3");
  TestSink sink;
  Open(sink, Key("a", 3));
  EXPECT_THAT(Values(sink), IsEmpty());
  EXPECT_EQ(hub_.Complete(*sink.watcher), 0);
  const std::optional<NeedHistory> need = hub_.PollHistory();
  ASSERT_TRUE(need.has_value());
  EXPECT_EQ(need->from, 3);
  EXPECT_EQ(need->to, 4);
  Put("a", "4");  // while the read is out
  Answer(*need, 2);
  AnswerHistory();
  Put("a", "5");
  EXPECT_THAT(Values(sink), ElementsAre("2", "3", "4", "5"));
  EXPECT_EQ(hub_.behind(), 0U);
}

TEST_F(WatchHubTest, NothingBeforeAFutureStart) {
  TestSink sink;
  Open(sink, Key("a", 4));
  Put("a", "1");
  Put("a", "2");
  EXPECT_EQ(hub_.Complete(*sink.watcher), 0) << "no progress before its start (etcd 20221)";
  Put("a", "3");
  EXPECT_THAT(Values(sink), ElementsAre("3"));
  EXPECT_EQ(hub_.Complete(*sink.watcher), 4);
}

TEST_F(WatchHubTest, StartBelowCompactionIsCanceledAndAtItIsNot) {
  Put("a", "1");
  Put("a", "2");
  hub_.OnView(3, 3);
  TestSink below;
  Open(below, Key("a", 2));
  EXPECT_TRUE(below.canceled);
  EXPECT_EQ(below.compact_revision, 3);
  TestSink at;
  Open(at, Key("a", 3));
  AnswerHistory();
  EXPECT_FALSE(at.canceled);
  EXPECT_THAT(Values(at), ElementsAre("2"));
}

TEST_F(WatchHubTest, FullSinkFallsBehindAndDelaysNobody) {
  TestSink slow;
  TestSink fast;
  slow.room = 1;
  Open(slow, Key("a"));
  Open(fast, Key("a"));
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  EXPECT_THAT(Values(fast), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Values(slow), ElementsAre("1"));
  EXPECT_EQ(hub_.Complete(*slow.watcher), 0);
  EXPECT_FALSE(hub_.PollHistory().has_value()) << "nobody who waits can take anything";
  slow.writable = true;
  hub_.Drained(slow);
  AnswerHistory();
  EXPECT_THAT(Values(slow), ElementsAre("1", "2", "3"));
}

TEST_F(WatchHubTest, BlockedSinkIsCanceledOnlyOffTheRingAndAfterAMinute) {
  TestSink slow;
  slow.room = 1;
  slow.blocked_since = 5 * kSecond;
  Open(slow, Key("a"));
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  hub_.Tick(65 * kSecond, 3);
  EXPECT_FALSE(slow.canceled) << "3 is still in the ring";
  hub_.Tick(64 * kSecond, 4);
  EXPECT_FALSE(slow.canceled);
  hub_.Tick(65 * kSecond, 4);
  EXPECT_TRUE(slow.canceled);
  EXPECT_EQ(slow.compact_revision, 0);
  EXPECT_EQ(slow.reason, kWatchTooSlow);
}

TEST_F(WatchHubTest, WatchersCloseTogetherShareAScan) {
  for (int i = 0; i < 10; ++i) Put("a", std::to_string(i));
  TestSink one;
  TestSink two;
  Open(one, Key("a", 2));
  Open(two, Range("a", "b", 6));
  const std::optional<NeedHistory> need = hub_.PollHistory();
  ASSERT_TRUE(need.has_value());
  Answer(*need);
  EXPECT_EQ(one.events.size(), 10U);
  EXPECT_EQ(two.events.size(), 6U);
  EXPECT_FALSE(hub_.PollHistory().has_value());
}

TEST_F(WatchHubTest, OneFarBehindAndThoseNearlyThereTakeTurns) {
  constexpr int kRevisions = 12'000;  // more than a cohort
  for (int i = 0; i < kRevisions; ++i) Put("b", "x");
  TestSink far;
  TestSink near;
  Open(far, Key("rare", 2));
  Open(near, Key("b", hub_.revision() - 5));
  for (int step = 0; step < 2; ++step) {
    const std::optional<NeedHistory> need = hub_.PollHistory();
    ASSERT_TRUE(need.has_value());
    Answer(*need, 10);
  }
  EXPECT_EQ(near.events.size(), 6U);
  EXPECT_EQ(hub_.Complete(*near.watcher), hub_.revision());
  EXPECT_EQ(hub_.behind(), 1U);
  // Another of those comes with each step, and the first gets on all the same.
  std::deque<TestSink> others;
  for (int step = 0; step < 2 * (kRevisions / 1000 + 1); ++step) {
    Open(others.emplace_back(), Key("b", hub_.revision()));
    const std::optional<NeedHistory> need = hub_.PollHistory();
    ASSERT_TRUE(need.has_value());
    Answer(*need, 1000);
  }
  EXPECT_EQ(hub_.Complete(*far.watcher), hub_.revision());
}

TEST_F(WatchHubTest, SkippedRevisionsComeFromHistoryWithoutReplay) {
  TestSink sink;
  Open(sink, Key("a"));
  Put("a", "1");
  for (const char* value : {"2", "3", "4"}) model_.Commit({{"a", std::string(value)}});
  hub_.OnView(5, 0);  // a snapshot was installed
  AnswerHistory();
  Put("a", "5");
  EXPECT_THAT(Values(sink), ElementsAre("1", "2", "3", "4", "5"));
}

TEST_F(WatchHubTest, CompactedWhileBehindIsCanceledWithTheRevision) {
  Put("a", "1");
  Put("a", "2");
  TestSink sink;
  Open(sink, Key("a", 2));
  const std::optional<NeedHistory> need = hub_.PollHistory();
  ASSERT_TRUE(need.has_value());
  hub_.OnHistory({.error = mvcc::Error::kCompacted});
  EXPECT_FALSE(hub_.PollHistory().has_value()) << "asks again only once the view has changed";
  hub_.OnView(3, 3);
  ASSERT_TRUE(hub_.PollHistory().has_value());
  hub_.OnHistory({.error = mvcc::Error::kCompacted});
  EXPECT_TRUE(sink.canceled);
  EXPECT_EQ(sink.compact_revision, 3);
  EXPECT_EQ(hub_.watchers(), 0U);
}

TEST_F(WatchHubTest, OpensOnlyAtItsMinimumRevision) {
  TestSink sink;
  WatchSpec spec = Key("a");
  spec.min_revision = 2;
  sink.watcher = hub_.Prepare(spec, sink);
  EXPECT_FALSE(hub_.TryOpen(*sink.watcher));
  Put("a", "1");
  EXPECT_TRUE(sink.ready);
  EXPECT_TRUE(hub_.TryOpen(*sink.watcher));
  EXPECT_EQ(sink.opened_at, 2);
}

// --- Random runs against the model.

class RandomHub {
 public:
  explicit RandomHub(std::uint64_t seed) : rng_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) Step();
    Heal();
    for (auto& w : watched_) CheckFinal(*w);
  }

 private:
  struct Watched {
    TestSink sink;
    WatchSpec spec;
    Revision start = 0;
  };

  void Step() {
    switch (rng_.Below(10)) {
      case 0:
        Create();
        break;
      case 1:
        Block();
        break;
      case 2:
        Unblock();
        break;
      case 3:
        if (rng_.Chance(0.1)) Close();
        break;
      case 4:
        History();
        break;
      case 5:
        if (rng_.Chance(0.05)) compact_ = rng_.Between(compact_, model_.revision());
        hub_.OnView(model_.revision(), compact_);
        break;
      default:
        Commit();
    }
    CheckProgress();
  }

  std::string RandomKey() { return std::string(1, static_cast<char>('a' + rng_.Below(6))); }

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
    const mvcc::EventBatchPtr batch = model_.Commit(writes);
    if (batch != nullptr && !rng_.Chance(0.02)) hub_.OnBatch(batch);  // else the hub skips it
  }

  void Create() {
    auto w = std::make_unique<Watched>();
    const std::string key = RandomKey();
    const char* const ends[] = {"", "", "d", "g", "\0"};
    const std::uint64_t pick = rng_.Below(5);
    w->spec.range = KeyRange::FromWire(key, pick == 4 ? std::string(1, '\0') : ends[pick]);
    if (w->spec.range.Empty()) return;
    w->spec.filters = {rng_.Chance(0.2), rng_.Chance(0.2)};
    w->spec.prev_kv = rng_.Chance(0.5);
    w->spec.start = rng_.Chance(0.4) ? 0 : rng_.Between(1, model_.revision() + 5);
    if (rng_.Chance(0.3)) w->sink.room = 1 + rng_.Below(5);
    w->sink.watcher = hub_.Prepare(w->spec, w->sink);
    ASSERT_TRUE(hub_.TryOpen(*w->sink.watcher));
    w->start = w->spec.start == 0 ? w->sink.opened_at + 1 : w->spec.start;
    watched_.push_back(std::move(w));
  }

  Watched* Pick() {
    if (watched_.empty()) return nullptr;
    return watched_[rng_.Below(watched_.size())].get();
  }
  void Block() {
    if (Watched* w = Pick()) w->sink.writable = false;
  }
  void Unblock() {
    Watched* w = Pick();
    if (w == nullptr || w->sink.writable) return;
    w->sink.writable = true;
    w->sink.room = rng_.Chance(0.5) ? UINT64_MAX : 1 + rng_.Below(5);
    hub_.Drained(w->sink);
  }
  void Close() {
    if (watched_.empty()) return;
    const std::size_t at = rng_.Below(watched_.size());
    if (watched_[at]->sink.watcher != nullptr) hub_.Close(*watched_[at]->sink.watcher);
    watched_.erase(watched_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  // Asks or answers: batches arrive between the two.
  void History() {
    if (!need_.has_value()) {
      need_ = hub_.PollHistory();
      return;
    }
    replica::History history;
    if (need_->from < compact_ && rng_.Chance(0.5)) {  // else the ring had it
      hub_.OnView(model_.revision(), compact_);
      history.error = mvcc::Error::kCompacted;
    } else {
      history.batches = model_.From(need_->from, 1 + rng_.Below(8));
      history.next = history.batches.empty() ? need_->to + 1 : history.batches.back()->revision + 1;
    }
    need_.reset();
    hub_.OnHistory(history);
  }

  void CheckProgress() {
    Watched* w = Pick();
    if (w == nullptr || w->sink.watcher == nullptr) return;
    const Revision complete = hub_.Complete(*w->sink.watcher);
    if (complete == 0) return;
    EXPECT_EQ(w->sink.events, model_.Expected(w->spec, w->start, complete));
  }

  void Heal() {
    for (int round = 0; round < 10'000; ++round) {
      hub_.OnView(model_.revision(), compact_);
      for (auto& w : watched_) {
        if (w->sink.writable) continue;
        w->sink.writable = true;
        hub_.Drained(w->sink);
      }
      History();
      if (hub_.behind() == 0) return;
    }
    FAIL() << "watchers did not catch up";
  }

  void CheckFinal(Watched& w) {
    if (!w.sink.canceled) {
      EXPECT_EQ(w.sink.events, model_.Expected(w.spec, w.start, model_.revision()));
      return;
    }
    EXPECT_LE(w.sink.compact_revision, compact_);
    EXPECT_EQ(w.sink.events, model_.Expected(w.spec, w.start, w.sink.last_revision));
    EXPECT_LT(std::max(w.start, w.sink.last_revision), compact_);
  }

  Rng rng_;
  WatchModel model_;
  WatchHub hub_{{.cohort_revisions = 20}, 1, 0};
  std::vector<std::unique_ptr<Watched>> watched_;
  std::optional<NeedHistory> need_;
  Revision compact_ = 0;
  int values_ = 0;
};

TEST(WatchHubRandom, EveryWatcherGetsWhatTheModelSays) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    RandomHub(seed).Run(800);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(WatchIndex, FindsTheRangesThatHoldAKey) {
  Rng rng(7);
  WatchIndex index;
  std::vector<WatchGroup*> groups;
  const auto key = [&rng] { return std::to_string(rng.Below(300)); };
  for (int step = 0; step < 3000; ++step) {
    if (groups.size() < 50 || rng.Chance(0.5)) {
      mvcc::KeyRange range = KeyRange::FromWire(key(), rng.Chance(0.2) ? "" : key());
      range.unbounded = rng.Chance(0.05);
      if (range.unbounded) range.end.clear();
      if (range.Empty()) continue;
      WatchGroup* group = index.FindOrAdd(range, {}, rng.Chance(0.5));
      if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
    } else {
      const std::size_t at = rng.Below(groups.size());
      index.Remove(groups[at]);
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const std::string probe = key();
    std::set<WatchGroup*> found;
    index.ForEachMatch(probe, [&](WatchGroup& group) { EXPECT_TRUE(found.insert(&group).second); });
    std::set<WatchGroup*> want;
    for (WatchGroup* group : groups) {
      if (group->entry->range.Contains(probe)) want.insert(group);
    }
    ASSERT_EQ(found, want);
  }
}

}  // namespace
}  // namespace coppice::replica
