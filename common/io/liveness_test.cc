#include "common/io/liveness.h"

#include <gtest/gtest.h>

namespace coppice::io {
namespace {

using Act = Liveness::Act;

struct LivenessTest : ::testing::Test {
  Act Tick(Micros after = kSecond) { return liveness.Tick(now += after); }

  Time now = 100 * kSecond;
  Liveness liveness{kSecond, now};
};

TEST_F(LivenessTest, PingsOnlyWhatHasNotSpokenSinceTheLastTick) {
  EXPECT_EQ(Tick(), Act::kPing);
  liveness.Sent();
  liveness.Received();
  EXPECT_EQ(Tick(), Act::kNothing);
  EXPECT_EQ(Tick(), Act::kPing);
}

TEST_F(LivenessTest, GivesUpAPeerThatSaysNothingForFiveTicks) {
  liveness.Received();
  EXPECT_NE(Tick(), Act::kGiveUp);
  for (int i = 1; i < 5; ++i) {
    liveness.Sent();
    EXPECT_EQ(Tick(), Act::kNothing) << i;
  }
  liveness.Sent();
  EXPECT_EQ(Tick(), Act::kGiveUp) << "however much is sent";
}

TEST_F(LivenessTest, AnythingReceivedBeginsTheCountAnew) {
  for (int i = 0; i < 100; ++i) {
    if (i % 5 == 4) liveness.Received();
    EXPECT_NE(Tick(), Act::kGiveUp) << i;
  }
}

TEST_F(LivenessTest, APauseOfThisProcessIsNotThePeersSilence) {
  for (int i = 0; i < 4; ++i) EXPECT_NE(Tick(), Act::kGiveUp);
  EXPECT_EQ(Tick(3600 * kSecond), Act::kPing) << "stopped and continued";
  EXPECT_EQ(Tick(2 * kSecond), Act::kPing) << "starved";
  EXPECT_EQ(Tick(), Act::kGiveUp);
}

}  // namespace
}  // namespace coppice::io
