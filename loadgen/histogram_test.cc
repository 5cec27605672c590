#include "loadgen/histogram.h"

#include <gtest/gtest.h>

namespace coppice::loadgen {
namespace {

TEST(Histogram, HasNoPercentilesWhenEmpty) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.Quantile(0.5), 0);
}

TEST(Histogram, PercentilesAreWithinTwoPercentAndNeverBelow) {
  Histogram histogram;
  for (Micros value = 1; value <= 1'000'000; ++value) histogram.Add(value);
  for (const double fraction : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = fraction * 1'000'000;
    EXPECT_GE(static_cast<double>(histogram.Quantile(fraction)), exact) << fraction;
    EXPECT_LE(static_cast<double>(histogram.Quantile(fraction)), exact * 1.02) << fraction;
  }
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (const Micros value : {3, 5, 7}) histogram.Add(value);
  EXPECT_EQ(histogram.Quantile(0.0), 3);
  EXPECT_EQ(histogram.Quantile(0.5), 5);
  EXPECT_EQ(histogram.Quantile(1.0), 7);
}

TEST(Histogram, TakesWhatIsTooLongAndWhatIsNegative) {
  Histogram histogram;
  histogram.Add(Micros{1} << 60);
  histogram.Add(-5);
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.Quantile(0.5), 0);
  EXPECT_EQ(histogram.max(), Micros{1} << 60);
}

TEST(Histogram, MergeCountsBoth) {
  Histogram one;
  Histogram other;
  one.Add(10);
  other.Add(1000);
  one.Merge(other);
  EXPECT_EQ(one.count(), 2U);
  EXPECT_EQ(one.max(), 1000);
  EXPECT_EQ(one.Quantile(1.0), 1000);
}

}  // namespace
}  // namespace coppice::loadgen
