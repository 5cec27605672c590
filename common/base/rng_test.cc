#include "common/base/rng.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

TEST(Rng, SameSeedSameValuesAndStreamsAreIndependent) {
  Rng a(1, 2);
  Rng b(1, 2);
  Rng other(1, 3);
  int same_as_other = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = a.Next();
    EXPECT_EQ(value, b.Next());
    same_as_other += value == other.Next() ? 1 : 0;
  }
  EXPECT_EQ(same_as_other, 0);
}

TEST(Rng, BetweenReachesBothEndsAndNothingElse) {
  Rng rng(9);
  bool low = false;
  bool high = false;
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t value = rng.Between(-2, 2);
    ASSERT_GE(value, -2);
    ASSERT_LE(value, 2);
    low = low || value == -2;
    high = high || value == 2;
  }
  EXPECT_TRUE(low && high);
}

}  // namespace
}  // namespace coppice
