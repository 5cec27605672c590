#include "common/api/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice::api {
namespace {

using testing::HasSubstr;

TEST(Http, VersionIsEtcdsJsonAndOurOwn) {
  const rpc::HttpResponse got = MakeHttpHandler({})("/version", "");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.content_type, "application/json");
  EXPECT_EQ(got.body, R"({"etcdserver":"3.6.0","etcdcluster":"3.6.0","coppice":"0.1.0"})");
}

TEST(Http, HealthSaysWhyNot) {
  std::string reason;
  const auto handler =
      MakeHttpHandler({.unhealthy = [&reason] { return reason; }, .not_live = {}, .not_ready = {}});
  EXPECT_EQ(handler("/health", "").body, R"({"health":"true","reason":""})");
  EXPECT_EQ(handler("/health", "serializable=true").status, 200);
  reason = "no \"leader\"\n";
  EXPECT_EQ(handler("/health", "").status, 503);
  EXPECT_EQ(handler("/health", "").body,
            "{\"health\":\"false\",\"reason\":\"no \\\"leader\\\"\\u000a\"}");
}

TEST(Http, ProbesAnswerOkOrTheReason) {
  const auto handler = MakeHttpHandler(
      {.unhealthy = {}, .not_live = {}, .not_ready = [] { return "staleness is 9s"; }});
  EXPECT_EQ(handler("/livez", "").body, "ok\n");
  EXPECT_THAT(handler("/livez", "verbose").body, HasSubstr("[+]livez ok"));
  EXPECT_EQ(handler("/readyz", "").status, 503);
  EXPECT_THAT(handler("/readyz", "").body, HasSubstr("[-]readyz failed: staleness is 9s"));
}

TEST(Http, MetricsAreThoseOfTheRegistry) {
  metrics::Registry registry;
  registry.AddCounter("coppice_things_total", "Things.").Add(2);
  const auto handler = MakeHttpHandler({.metrics = &registry});
  EXPECT_THAT(handler("/metrics", "").body, HasSubstr("coppice_things_total 2\n"));
  EXPECT_EQ(MakeHttpHandler({})("/metrics", "").status, 404);
}

TEST(Http, OtherPathsAreNotFound) {
  EXPECT_EQ(MakeHttpHandler({})("/", "").status, 404);
  EXPECT_EQ(MakeHttpHandler({})("/versions", "").status, 404);
}

}  // namespace
}  // namespace coppice::api
