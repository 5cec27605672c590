#include "common/replica/watch_history.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/mvcc/testing/harness.h"
#include "common/mvcc/testing/watch_model.h"

namespace coppice::replica {
namespace {

using mvcc::testing::Harness;
using mvcc::testing::MemoryPlace;

struct Sink final : mvcc::WatchSink {
  void OnReady(mvcc::Watcher&) override {}
  void OnOpened(mvcc::Watcher&, Revision) override {}
  void OnEvents(mvcc::Watcher&, const mvcc::EncodedEventsPtr& encoded) override {
    for (mvcc::ModelEvent& event : mvcc::DecodeEvents(*encoded)) events.push_back(std::move(event));
  }
  void OnCanceled(mvcc::Watcher&, Revision compact, std::string_view) override {
    compact_revision = compact;
  }
  std::vector<mvcc::ModelEvent> events;
  Revision compact_revision = 0;
};

// A hub over a real store, whose ring holds little.
class WatchHistoryTest : public testing::Test {
 protected:
  void Answer() {
    while (const std::optional<NeedHistory> need = hub_.PollHistory()) {
      History history;
      if (ReadRing(store_.store(), *need, history)) {
        ++from_ring_;
      } else {
        history = ReadHistory(store_.store(), *need);
        ++from_disk_;
      }
      hub_.OnHistory(history);
    }
  }
  void Open(Sink& sink, Revision start) {
    mvcc::Watcher* const watcher = hub_.Prepare(
        {.range = mvcc::KeyRange::FromWire("k", ""), .prev_kv = true, .start = start}, sink);
    ASSERT_TRUE(hub_.TryOpen(*watcher));
  }
  void SyncView() { hub_.OnView(store_.View().revision, store_.View().compact_revision); }

  Harness store_{std::make_unique<MemoryPlace>(), {.ring_bytes = 2000}};
  WatchHub hub_{{.rows_max = 7}, 1, 0};
  int from_ring_ = 0;
  int from_disk_ = 0;
};

TEST_F(WatchHistoryTest, CatchesUpFromDiskThenRing) {
  for (int i = 0; i < 100; ++i) store_.Put("k", std::to_string(i));
  SyncView();
  Sink sink;
  Open(sink, 2);
  Answer();
  ASSERT_EQ(sink.events.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(sink.events[i].value, std::to_string(i));
    EXPECT_EQ(sink.events[i].prev_value, i == 0 ? "" : std::to_string(i - 1));
  }
  EXPECT_GT(from_disk_, 0);
  EXPECT_GT(from_ring_, 0);
  EXPECT_EQ(hub_.behind(), 0U);
}

TEST_F(WatchHistoryTest, StartAtTheCompactRevisionSeesTheDeleteThere) {
  store_.Put("k", "1");
  store_.Delete(mvcc::testing::Key("k"));  // revision 3
  for (int i = 0; i < 100; ++i) store_.Put("other", std::to_string(i));
  ASSERT_EQ(store_.Compact(3), mvcc::Error::kNone);
  store_.CollectAll();
  SyncView();
  Sink at;
  Open(at, 3);
  Answer();
  ASSERT_EQ(at.events.size(), 1U) << "etcd 18089, 19179";
  EXPECT_TRUE(at.events[0].is_delete);
  Sink below;
  Open(below, 2);
  EXPECT_EQ(below.compact_revision, 3);
}

TEST_F(WatchHistoryTest, CompactionWhileBehindCancels) {
  for (int i = 0; i < 100; ++i) store_.Put("k", std::to_string(i));
  SyncView();
  Sink sink;
  Open(sink, 2);
  ASSERT_EQ(store_.Compact(50), mvcc::Error::kNone);
  Answer();
  SyncView();
  Answer();
  EXPECT_EQ(sink.compact_revision, 50);
}

}  // namespace
}  // namespace coppice::replica
