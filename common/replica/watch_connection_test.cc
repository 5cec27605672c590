#include "common/replica/watch_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/testing/watch_model.h"

namespace coppice::replica {
namespace {

using io::FrameType;
using testing::ElementsAre;
using testing::IsEmpty;

struct Sent {
  FrameType type;
  std::uint8_t flags;
  io::StreamId stream;
  std::string payload;
};

struct TestOut final : FrameOut {
  void Send(const io::Frame& frame, std::span<const std::string_view> pieces) override {
    std::string payload;
    for (const std::string_view piece : pieces) payload.append(piece);
    frames.push_back({frame.type, frame.flags, frame.stream, std::move(payload)});
  }
  std::size_t unsent_bytes() const override { return unsent; }
  std::vector<FrameType> Types() {
    std::vector<FrameType> out;
    for (const Sent& sent : frames) out.push_back(sent.type);
    return out;
  }
  std::vector<Sent> frames;
  std::size_t unsent = 0;
};

class WatchConnectionTest : public testing::Test {
 protected:
  void Put(const std::string& key, const std::string& value) {
    hub_.OnBatch(model_.Commit({{key, value}}));
  }
  void Create(io::StreamId id, const WatchCreateFrame& create) {
    const std::string payload = EncodeWatchCreate(create);
    ASSERT_TRUE(connection_.OnFrame(
        now_, {.type = FrameType::kWatchCreate, .stream = id, .payload = payload}));
    Turn();
  }
  void Turn() { connection_.OnTurn(now_, 77); }
  WatermarkFrame LastWatermark() {
    WatermarkFrame mark;
    EXPECT_EQ(out_.frames.back().type, FrameType::kWatermark);
    EXPECT_TRUE(DecodeWatermark(out_.frames.back().payload, mark));
    return mark;
  }

  mvcc::WatchModel model_;
  WatchHub hub_{{}, 1, 0};
  TestOut out_;
  Time now_ = kSecond;
  WatchConnection connection_{{.frame_bytes_max = 200}, hub_, out_, 0};
  const mvcc::KeyRange range_ = mvcc::KeyRange::FromWire("a", "");
};

TEST_F(WatchConnectionTest, EventsComeBeforeTheWatermarkThatCoversThem) {
  Create({1, 1}, {.range = range_, .credit = 1000});
  EXPECT_THAT(out_.Types(), ElementsAre(FrameType::kWatchCreated, FrameType::kWatermark));
  out_.frames.clear();
  Put("a", "1");
  Turn();
  EXPECT_THAT(out_.Types(), ElementsAre(FrameType::kWatchEvents, FrameType::kWatermark));
  EXPECT_EQ(LastWatermark().complete, 2);
  EXPECT_EQ(LastWatermark().auth_revision, 77U);
  EXPECT_THAT(LastWatermark().lagging, IsEmpty());
}

TEST_F(WatchConnectionTest, IdleWatermarksComeOnTime) {
  Create({1, 1}, {.range = range_, .credit = 1000});
  out_.frames.clear();
  Turn();
  EXPECT_THAT(out_.frames, IsEmpty());
  EXPECT_EQ(connection_.NextDeadline(), now_ + 100 * kMillisecond);
  Put("b", "1");
  EXPECT_EQ(connection_.NextDeadline(), now_ + 5 * kMillisecond);
  now_ = connection_.NextDeadline();
  Turn();
  EXPECT_EQ(LastWatermark().complete, 2);
}

TEST_F(WatchConnectionTest, StreamWithoutCreditIsNamedAsLagging) {
  Create({1, 1}, {.range = range_, .credit = 1});
  Put("a", "1");  // overdraws
  Put("a", "2");
  Turn();
  EXPECT_THAT(LastWatermark().lagging, ElementsAre(io::StreamId{1, 1}));
  const std::string credit = EncodeCredit(1000);
  ASSERT_TRUE(
      connection_.OnFrame(now_, {.type = FrameType::kCredit, .stream = {1, 1}, .payload = credit}));
  const std::optional<NeedHistory> need = hub_.PollHistory();
  ASSERT_TRUE(need.has_value());
  hub_.OnHistory({.next = need->to + 1, .batches = model_.From(need->from, 10)});
  out_.frames.erase(out_.frames.begin(), out_.frames.end() - 1);
  Turn();
  EXPECT_THAT(out_.Types(), ElementsAre(FrameType::kWatchEvents, FrameType::kWatermark));
  EXPECT_THAT(LastWatermark().lagging, IsEmpty());
}

TEST_F(WatchConnectionTest, LargeRevisionGoesInPartsThatBelongTogether) {
  Create({1, 1}, {.range = mvcc::KeyRange::FromWire("a", "z"), .credit = 100'000});
  out_.frames.clear();
  std::vector<mvcc::WatchModel::Write> writes;
  for (const char key : {'b', 'c', 'd', 'e', 'f'}) {
    writes.push_back({std::string(1, key), std::string(90, 'v')});
  }
  hub_.OnBatch(model_.Commit(writes));
  mvcc::EncodedEvents events;
  ASSERT_EQ(out_.frames.size(), 5U);
  for (std::size_t i = 0; i < out_.frames.size(); ++i) {
    EXPECT_EQ(out_.frames[i].flags, i + 1 < out_.frames.size() ? io::kFlagMore : 0);
    ASSERT_TRUE(DecodeWatchEvents(out_.frames[i].payload, events));
  }
  EXPECT_EQ(mvcc::DecodeEvents(events).size(), 5U);
}

TEST_F(WatchConnectionTest, FullConnectionHoldsItsStreamsBack) {
  Create({1, 1}, {.range = range_, .credit = 100'000});
  out_.unsent = 100U << 20;
  Put("a", "1");
  Put("a", "2");
  EXPECT_EQ(hub_.behind(), 1U);
  out_.unsent = 0;
  connection_.OnDrained(now_);
  EXPECT_TRUE(hub_.PollHistory().has_value());
}

TEST_F(WatchConnectionTest, CompactedStartIsCreatedAndCanceled) {
  hub_.OnView(10, 8);
  Create({1, 1}, {.range = range_, .start = 5, .credit = 1000});
  ASSERT_EQ(out_.frames.size(), 2U);
  WatchCanceledFrame canceled;
  ASSERT_EQ(out_.frames[1].type, FrameType::kWatchCanceled);
  ASSERT_TRUE(DecodeWatchCanceled(out_.frames[1].payload, canceled));
  EXPECT_EQ(canceled.compact_revision, 8);
  Turn();
  EXPECT_EQ(connection_.streams(), 0U);
}

TEST_F(WatchConnectionTest, CancelEndsTheStreamAndLateFramesAreIgnored) {
  Create({1, 1}, {.range = range_, .credit = 1000});
  const io::Frame cancel{.type = FrameType::kWatchCancel, .stream = {1, 1}, .payload = {}};
  EXPECT_TRUE(connection_.OnFrame(now_, cancel));
  EXPECT_TRUE(connection_.OnFrame(now_, cancel));
  EXPECT_EQ(hub_.watchers(), 0U);
  EXPECT_FALSE(
      connection_.OnFrame(now_, {.type = FrameType::kWatchCreate, .stream = {}, .payload = "x"}));
}

}  // namespace
}  // namespace coppice::replica
