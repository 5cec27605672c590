#include "common/base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice::metrics {
namespace {

using testing::HasSubstr;

TEST(Metrics, CountersOfEachLoopAreAddedUp) {
  Registry registry;
  registry.AddCounter("coppice_requests_total", "Requests.", "method=\"Range\"").Add(3);
  registry.AddCounter("coppice_requests_total", "", "method=\"Range\"").Add(4);
  registry.AddCounter("coppice_requests_total", "", "method=\"Put\"").Add();
  EXPECT_EQ(registry.Render(),
            "# HELP coppice_requests_total Requests.\n"
            "# TYPE coppice_requests_total counter\n"
            "coppice_requests_total{method=\"Put\"} 1\n"
            "coppice_requests_total{method=\"Range\"} 7\n");
}

TEST(Metrics, GaugesAreReadAtRendering) {
  Registry registry;
  double value = 1;
  registry.AddGauge("coppice_revision", "The store's revision.", "", [&value] { return value; });
  value = 2.5;
  EXPECT_THAT(registry.Render(), AllOf(HasSubstr("# TYPE coppice_revision gauge\n"),
                                       HasSubstr("\ncoppice_revision 2.5\n")));
}

TEST(Metrics, HistogramBucketsAreCumulativeAndInSeconds) {
  Registry registry;
  Histogram& histogram = registry.AddHistogram("coppice_request_seconds", "Time.");
  for (Micros us : {0, 1, 2, 3, 4, 1024, 1025}) histogram.Record(us);
  histogram.Record(1000 * kSecond);
  const std::string text = registry.Render();
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_bucket{le=\"1e-06\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_bucket{le=\"2e-06\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_bucket{le=\"4e-06\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_bucket{le=\"0.001024\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_bucket{le=\"0.002048\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_bucket{le=\"+Inf\"} 8\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_sum 1000.002059\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_seconds_count 8\n"));
}

TEST(Metrics, ANegativeDurationCountsAsNone) {
  Histogram histogram;
  histogram.Record(-5);
  EXPECT_EQ(histogram.bucket(0), 1u);
  EXPECT_EQ(histogram.sum_us(), 0u);
}

}  // namespace
}  // namespace coppice::metrics
