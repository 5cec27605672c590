#include "common/client/endpoints.h"

#include <gtest/gtest.h>

#include <array>

namespace coppice::client {
namespace {

const std::vector<bool> kNoneOfThree(3, false);

TEST(Endpoints, InOrderIsTheFirstThatIsWell) {
  Endpoints endpoints(3, Prefer::kInOrder, Rng(1));
  EXPECT_EQ(endpoints.Choose(0, kNoneOfThree), 0u);
  endpoints.Ill(0, 0);
  EXPECT_EQ(endpoints.Choose(1, kNoneOfThree), 1u);
  EXPECT_EQ(endpoints.Choose(kSecond, kNoneOfThree), 0u);
}

TEST(Endpoints, TheIllAreTriedWhenNoOtherIsLeftTheSoonestWellFirst) {
  Endpoints endpoints(3, Prefer::kInOrder, Rng(1));
  endpoints.Ill(0, 0);
  endpoints.Ill(90 * kMillisecond, 1);
  EXPECT_EQ(endpoints.Choose(95 * kMillisecond, {false, false, true}), 0u);
  EXPECT_EQ(endpoints.Choose(95 * kMillisecond, {true, false, true}), 1u);
  EXPECT_EQ(endpoints.Choose(95 * kMillisecond, {true, true, true}), std::nullopt);
}

TEST(Endpoints, OneThatGoesOnFailingIsPassedOverForLongerUntilItAnswers) {
  Endpoints endpoints(2, Prefer::kInOrder, Rng(1));
  Time now = 0;
  Micros last = 0;
  for (int i = 0; i < 10; ++i) {
    endpoints.Ill(now, 0);
    const Time failed = now;
    while (endpoints.Choose(now, {false, false}) != 0u) now += kMillisecond;
    EXPECT_GE(now - failed, last);
    EXPECT_LE(now - failed, 5 * kSecond);
    last = now - failed;
  }
  EXPECT_EQ(last, 5 * kSecond);
  endpoints.Well(0);
  endpoints.Ill(now, 0);
  EXPECT_EQ(endpoints.Choose(now + 100 * kMillisecond, {false, false}), 0u);
}

TEST(Endpoints, ManyFailuresOfOneMomentCountOnce) {
  Endpoints endpoints(2, Prefer::kInOrder, Rng(1));
  for (int i = 0; i < 100; ++i) endpoints.Ill(0, 0);
  EXPECT_EQ(endpoints.Choose(100 * kMillisecond, {false, false}), 0u);
}

TEST(Endpoints, TheLeastBusyIsPreferredAndEqualsShare) {
  Endpoints endpoints(3, Prefer::kLeastBusy, Rng(1));
  std::array<int, 3> chosen{};
  for (int i = 0; i < 300; ++i) {
    const std::size_t one = *endpoints.Choose(0, kNoneOfThree);
    endpoints.Sent(one);
    ++chosen[one];
  }
  EXPECT_EQ(chosen, (std::array<int, 3>{100, 100, 100}));
  endpoints.Done(1);
  EXPECT_EQ(endpoints.Choose(0, kNoneOfThree), 1u);
}

}  // namespace
}  // namespace coppice::client
