#include "common/replica/watch_wire.h"

#include <gtest/gtest.h>

#include <string>

#include "common/replica/watch_events.h"

namespace coppice::replica {
namespace {

TEST(WatchWire, CreateKeepsEverything) {
  WatchCreateFrame frame{
      .range = mvcc::KeyRange::FromWire("a", "b"), .prev_kv = true, .start = 7, .credit = 9};
  WatchCreateFrame out;
  ASSERT_TRUE(DecodeWatchCreate(EncodeWatchCreate(frame), out));
  EXPECT_EQ(out.range, frame.range);
  EXPECT_TRUE(out.prev_kv);
  EXPECT_EQ(out.start, 7);
  EXPECT_EQ(out.credit, 9U);
  frame.range = mvcc::KeyRange::FromWire("a", std::string(1, '\0'));
  ASSERT_TRUE(DecodeWatchCreate(EncodeWatchCreate(frame), out));
  EXPECT_EQ(out.range, frame.range);
}

TEST(WatchWire, EmptyRangeIsMalformed) {
  WatchCreateFrame out;
  EXPECT_FALSE(
      DecodeWatchCreate(EncodeWatchCreate({.range = mvcc::KeyRange::FromWire("b", "a")}), out));
}

TEST(WatchWire, EventsSurviveInParts) {
  mvcc::EncodedEvents events;
  events.revision = 5;
  AppendEvent(events, false, "one", "before");
  AppendEvent(events, true, "two", "");
  AppendEvent(events, false, "three", "");
  mvcc::EncodedEvents out;
  for (const auto& [first, last] : {std::pair<std::size_t, std::size_t>{0, 1}, {1, 3}}) {
    const WatchEventsHead part = EncodeWatchEvents(events, first, last);
    ASSERT_TRUE(DecodeWatchEvents(part.head + std::string(part.bytes), out));
  }
  EXPECT_EQ(out.revision, 5);
  EXPECT_EQ(out.bytes, events.bytes);
  EXPECT_EQ(out.ends, events.ends);
  const WatchEventsHead whole = EncodeWatchEvents(events, 0, 3);
  EXPECT_FALSE(DecodeWatchEvents(whole.head + std::string(whole.bytes) + "x", out));
  out.revision = 6;
  EXPECT_FALSE(DecodeWatchEvents(whole.head + std::string(whole.bytes), out))
      << "parts of two revisions";
}

TEST(WatchWire, OthersRoundTrip) {
  WatchCreatedFrame created;
  ASSERT_TRUE(DecodeWatchCreated(EncodeWatchCreated({3, 2}), created));
  EXPECT_EQ(created.at, 3);
  EXPECT_EQ(created.compact_revision, 2);
  const std::string bytes = EncodeWatchCanceled({4, "why"});
  WatchCanceledFrame canceled;
  ASSERT_TRUE(DecodeWatchCanceled(bytes, canceled));
  EXPECT_EQ(canceled.compact_revision, 4);
  EXPECT_EQ(canceled.reason, "why");
  WatermarkFrame mark;
  ASSERT_TRUE(DecodeWatermark(EncodeWatermark({5, 6, 7, {{1, 2}, {3, 4}}}), mark));
  EXPECT_EQ(mark.complete, 5);
  EXPECT_EQ(mark.compact_revision, 6);
  EXPECT_EQ(mark.auth_revision, 7U);
  EXPECT_EQ(mark.lagging, (std::vector<io::StreamId>{{1, 2}, {3, 4}}));
  std::uint32_t credit = 0;
  ASSERT_TRUE(DecodeCredit(EncodeCredit(8), credit));
  EXPECT_EQ(credit, 8U);
}

TEST(WatchWire, EveryTruncationIsRefused) {
  const std::string create = EncodeWatchCreate({.range = mvcc::KeyRange::FromWire("ab", "")});
  mvcc::EncodedEvents events;
  events.revision = 5;
  AppendEvent(events, false, "one", "before");
  const WatchEventsHead part = EncodeWatchEvents(events, 0, 1);
  const std::string whole = part.head + std::string(part.bytes);
  for (std::size_t size = 0; size < create.size(); ++size) {
    WatchCreateFrame out;
    EXPECT_FALSE(DecodeWatchCreate(create.substr(0, size), out));
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    mvcc::EncodedEvents out;
    EXPECT_FALSE(DecodeWatchEvents(whole.substr(0, size), out));
  }
}

TEST(WatchEvents, FilterSharesWhatItKeepsWhole) {
  auto events = std::make_shared<mvcc::EncodedEvents>();
  events->revision = 2;
  AppendEvent(*events, false, "put", "");
  const mvcc::EncodedEventsPtr shared = events;
  EXPECT_EQ(Filter(shared, {.no_delete = true}), shared);
  EXPECT_EQ(Filter(shared, {.no_put = true}), nullptr);
}

}  // namespace
}  // namespace coppice::replica
