#include "loadgen/sim/network.h"

#include <gtest/gtest.h>

#include <utility>

namespace coppice::sim {
namespace {

struct Peer final : SocketHandler {
  void OnConnected() override { connected = true; }
  void OnRefused() override { refused = true; }
  void OnBytes(std::string bytes) override { got.push_back(std::move(bytes)); }
  void OnClosed() override { closed = true; }
  bool connected = false;
  bool refused = false;
  bool closed = false;
  std::vector<std::string> got;
};

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() {
    a_ = network_.AddHost();
    b_ = network_.AddHost();
    network_.Listen(b_, 1, [this](std::uint64_t) { return &far_; });
  }
  void Run(Micros time) {
    const Time until = scheduler_.now() + time;
    while (scheduler_.RunNext(until)) {
    }
  }
  void Connect() {
    flow_ = network_.Dial(a_, b_, 1, near_);
    Run(kSecond);
    ASSERT_TRUE(near_.connected);
  }

  Scheduler scheduler_;
  Trace trace_;
  Coverage coverage_;
  Network network_{scheduler_, trace_, coverage_, 1};
  HostId a_ = 0;
  HostId b_ = 0;
  Peer near_;
  Peer far_;
  std::uint64_t flow_ = 0;
};

TEST_F(NetworkTest, WhatIsSentArrivesInOrderHoweverManyPacketsAreLost) {
  Connect();
  network_.way(a_, b_).loss = 0.5;
  std::vector<std::string> sent;
  for (int i = 0; i < 50; ++i) {
    sent.push_back(std::to_string(i));
    network_.Send(flow_, near_, sent.back(), scheduler_.now());
  }
  Run(100 * kSecond);
  EXPECT_EQ(far_.got, sent);
}

TEST_F(NetworkTest, AWayThatIsCutHoldsWhatIsOnItUntilItIsMended) {
  Connect();
  network_.SetCut(a_, b_, true);
  network_.Send(flow_, near_, "held", scheduler_.now());
  network_.Send(flow_, far_, "the other way", scheduler_.now());
  Run(60 * kSecond);
  EXPECT_TRUE(far_.got.empty());
  EXPECT_EQ(near_.got, std::vector<std::string>{"the other way"});
  EXPECT_FALSE(near_.closed);
  network_.SetCut(a_, b_, false);
  Run(5 * kSecond);
  EXPECT_EQ(far_.got, std::vector<std::string>{"held"});
}

TEST_F(NetworkTest, APortThatNobodyListensOnRefuses) {
  network_.Dial(a_, b_, 2, near_);
  Run(kSecond);
  EXPECT_TRUE(near_.refused);
}

TEST_F(NetworkTest, AKilledProcessIsNoticedAndAPowerLossOnlyByWhoeverSends) {
  Connect();
  network_.StopHost(b_, /*power_loss=*/true);
  Run(60 * kSecond);
  EXPECT_FALSE(near_.closed);
  network_.Send(flow_, near_, "anyone?", scheduler_.now());
  Run(60 * kSecond);
  EXPECT_FALSE(near_.closed);
  network_.StartHost(b_);
  Run(5 * kSecond);
  EXPECT_TRUE(near_.closed);
  EXPECT_TRUE(far_.got.empty());

  Peer other;
  network_.Listen(b_, 1, [this](std::uint64_t) { return &far_; });
  network_.Dial(a_, b_, 1, other);
  Run(kSecond);
  network_.StopHost(b_, /*power_loss=*/false);
  Run(kSecond);
  EXPECT_TRUE(other.closed);
}

TEST_F(NetworkTest, PingsShowThatTheOtherEndHasNoPower) {
  Peer other;
  network_.Listen(b_, 1, [this](std::uint64_t) { return &far_; });
  network_.Dial(a_, b_, 1, other, /*pings=*/true);
  Run(kSecond);
  network_.StopHost(b_, /*power_loss=*/true);
  Run(4 * kSecond);
  EXPECT_FALSE(other.closed);
  Run(2 * kSecond);
  EXPECT_TRUE(other.closed);
}

TEST_F(NetworkTest, WhatWasSentBeforeACloseStillArrives) {
  Connect();
  network_.Send(flow_, near_, "last words", scheduler_.now());
  network_.Close(flow_, near_, scheduler_.now());
  Run(kSecond);
  EXPECT_EQ(far_.got, std::vector<std::string>{"last words"});
  EXPECT_TRUE(far_.closed);
  EXPECT_FALSE(near_.closed);
}

TEST_F(NetworkTest, AResetEndsBothEndsAndDropsWhatIsOnTheWay) {
  Connect();
  network_.Send(flow_, near_, "lost", scheduler_.now());
  EXPECT_EQ(network_.Reset([](HostId, HostId, std::uint64_t) { return true; }), 1);
  Run(kSecond);
  EXPECT_TRUE(near_.closed);
  EXPECT_TRUE(far_.closed);
  EXPECT_TRUE(far_.got.empty());
}

}  // namespace
}  // namespace coppice::sim
