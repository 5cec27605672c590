#include "common/api/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/api/duration.h"
#include "common/base/rng.h"
#include "common/rpc/server.h"

namespace coppice::api {
namespace {

using testing::HasSubstr;

struct Given {
  std::optional<std::string_view> consistency = {};
  std::optional<std::string_view> max_staleness = {};
  std::optional<std::string_view> min_revision = {};
  std::string_view unknown = {};
  bool serializable = false;
  Consistency listener = {};
};

Status Resolve(const Given& given, Consistency& out) {
  rpc::Metadata metadata;
  if (given.consistency) metadata.consistency = *given.consistency;
  if (given.max_staleness) metadata.max_staleness = *given.max_staleness;
  if (given.min_revision) metadata.min_revision = *given.min_revision;
  metadata.unknown_coppice = given.unknown;
  metadata.any_coppice =
      given.consistency || given.max_staleness || given.min_revision || !given.unknown.empty();
  return ResolveConsistency(metadata, given.serializable, given.listener, out);
}
Consistency Accepted(const Given& given) {
  Consistency out;
  const Status status = Resolve(given, out);
  EXPECT_TRUE(status.ok()) << status;
  return out;
}
std::string Refused(const Given& given) {
  Consistency out;
  const Status status = Resolve(given, out);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  return std::string(MessageOf(status));
}

const Consistency kBoundedListener = {.mode = ReadMode::kBounded,
                                      .max_staleness = 500 * kMillisecond};

TEST(Consistency, IsLinearizableWhenNothingIsSaid) {
  EXPECT_EQ(Accepted({}), Consistency());
}

TEST(Consistency, EtcdsSerializableFlagBeatsTheListener) {
  EXPECT_EQ(Accepted({.serializable = true, .listener = kBoundedListener}).mode,
            ReadMode::kSerializable);
}

TEST(Consistency, TheListenersDefaultHoldsForUnmodifiedClients) {
  EXPECT_EQ(Accepted({.listener = kBoundedListener}), kBoundedListener);
}

TEST(Consistency, MetadataBeatsTheFlagAndTheListener) {
  const Consistency got =
      Accepted({.consistency = "linearizable", .serializable = true, .listener = kBoundedListener});
  EXPECT_EQ(got.mode, ReadMode::kLinearizable);
  EXPECT_FALSE(got.max_staleness.has_value());
  EXPECT_TRUE(got.trailers);
}

TEST(Consistency, BoundedTakesEitherBoundOrBoth) {
  EXPECT_EQ(Accepted({.consistency = "bounded", .max_staleness = "250ms"}).max_staleness,
            250 * kMillisecond);
  EXPECT_EQ(Accepted({.consistency = "bounded", .min_revision = "7"}).min_revision, 7);
  const Consistency both =
      Accepted({.consistency = "bounded", .max_staleness = "2s", .min_revision = "ff/9"});
  EXPECT_EQ(both.max_staleness, 2 * kSecond);
  EXPECT_EQ(both.min_revision, 9);
  EXPECT_EQ(both.session_cluster, 255u);
}

TEST(Consistency, BoundedWithoutABoundIsRefused) {
  EXPECT_THAT(Refused({.consistency = "bounded"}), HasSubstr("coppice-max-staleness"));
  EXPECT_THAT(Refused({.consistency = "bounded", .listener = kBoundedListener}),
              HasSubstr("coppice-consistency"));
  EXPECT_THAT(Refused({.consistency = "bounded", .min_revision = "0"}), HasSubstr("bounded needs"));
}

TEST(Consistency, MaxStalenessWithoutBoundedIsRefused) {
  EXPECT_THAT(Refused({.max_staleness = "1s"}), HasSubstr("coppice-max-staleness"));
  EXPECT_THAT(Refused({.consistency = "serializable", .max_staleness = "1s"}),
              HasSubstr("coppice-max-staleness"));
  EXPECT_THAT(Refused({.max_staleness = "1s", .serializable = true}), HasSubstr("serializable"));
}

TEST(Consistency, MaxStalenessTightensABoundedListener) {
  const Consistency got = Accepted({.max_staleness = "10ms", .listener = kBoundedListener});
  EXPECT_EQ(got.mode, ReadMode::kBounded);
  EXPECT_EQ(got.max_staleness, 10 * kMillisecond);
}

TEST(Consistency, MinRevisionGoesWithEveryMode) {
  for (std::string_view mode : {"linearizable", "serializable"}) {
    EXPECT_EQ(Accepted({.consistency = mode, .min_revision = "42"}).min_revision, 42);
  }
  const Consistency on_listener = Accepted({.min_revision = "42", .listener = kBoundedListener});
  EXPECT_EQ(on_listener.mode, ReadMode::kBounded);
  EXPECT_EQ(on_listener.max_staleness, 500 * kMillisecond);
  EXPECT_EQ(on_listener.min_revision, 42);
}

TEST(Consistency, UnknownValuesAreRefusedByNameWithWhatIsAccepted) {
  EXPECT_THAT(Refused({.consistency = "strong"}),
              AllOf(HasSubstr("coppice-consistency"), HasSubstr("strong"),
                    HasSubstr("linearizable, bounded or serializable")));
  EXPECT_THAT(Refused({.consistency = ""}), HasSubstr("no value"));
  EXPECT_THAT(Refused({.consistency = "Bounded"}), HasSubstr("coppice-consistency"));
  EXPECT_THAT(Refused({.unknown = "coppice-freshness"}),
              AllOf(HasSubstr("coppice-freshness"), HasSubstr("coppice-min-revision")));
  for (std::string_view bad : {"250", "ms", "-1s", "+1s", "1.5s", "1s ", "1d", " 1s", "1S",
                               "99999999999999999999s", "9223372036854775807s"}) {
    EXPECT_THAT(Refused({.consistency = "bounded", .max_staleness = bad}),
                AllOf(HasSubstr("coppice-max-staleness"), HasSubstr("250ms")))
        << bad;
  }
  for (std::string_view bad : {"-1", "x", "1x", "0x10", "/1", "g/1", "1/", "0/1", "-1/1",
                               "9223372036854775808", "10000000000000000/1", "1/2/3"}) {
    EXPECT_THAT(Refused({.min_revision = bad}), HasSubstr("coppice-min-revision")) << bad;
  }
}

TEST(Consistency, RequireLeaderComesFromHasLeader) {
  rpc::Metadata metadata;
  metadata.has_leader = true;
  Consistency out;
  ASSERT_TRUE(ResolveConsistency(metadata, false, {}, out).ok());
  EXPECT_TRUE(out.require_leader);
  EXPECT_FALSE(out.trailers);
}

TEST(Consistency, ListenerOptionsAreReadFromTheQuery) {
  Consistency out;
  ASSERT_TRUE(ParseListenerDefault("consistency=bounded&max-staleness=500ms", out).ok());
  EXPECT_EQ(out, kBoundedListener);
  ASSERT_TRUE(ParseListenerDefault("max-staleness=500ms&consistency=bounded", out).ok());
  EXPECT_EQ(out, kBoundedListener);
  ASSERT_TRUE(ParseListenerDefault("consistency=serializable", out).ok());
  EXPECT_EQ(out.mode, ReadMode::kSerializable);
  ASSERT_TRUE(ParseListenerDefault("", out).ok());
  EXPECT_EQ(out, Consistency());
  for (std::string_view bad : {"consistency=bounded", "max-staleness=1s", "consistency", "x=1",
                               "consistency=linearizable&max-staleness=1s", "&", "consistency=",
                               "consistency=bounded&max-staleness=1s&min-revision=3"}) {
    EXPECT_EQ(ParseListenerDefault(bad, out).code(), StatusCode::kInvalidArgument) << bad;
  }
}

std::string FromAlphabet(Rng& rng, std::string_view alphabet, std::size_t max) {
  std::string text(rng.Below(max + 1), '\0');
  for (char& c : text) c = alphabet[rng.Below(alphabet.size())];
  return text;
}

TEST(Consistency, WhateverTheBytesItIsValidOrInvalidArgument) {
  Rng rng(20'261'121);
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    rpc::Metadata metadata;
    const std::string mode = rng.Chance(0.1)
                                 ? FromAlphabet(rng, "bounde", 8)
                                 : std::string(NameOf(static_cast<ReadMode>(rng.Below(3))));
    const std::string staleness = FromAlphabet(rng, "0123456789usm-h.", 6);
    const std::string revision = FromAlphabet(rng, "0123456789af/-x", 24);
    if (rng.Chance(0.7)) metadata.consistency = mode;
    if (rng.Chance(0.5)) metadata.max_staleness = staleness;
    if (rng.Chance(0.5)) metadata.min_revision = revision;
    metadata.any_coppice = rng.Chance(0.9);
    Consistency out;
    const Status status = ResolveConsistency(metadata, rng.Chance(0.5), kBoundedListener, out);
    if (!status.ok()) {
      ASSERT_EQ(status.code(), StatusCode::kInvalidArgument);
      continue;
    }
    ++accepted;
    ASSERT_TRUE(!out.max_staleness || out.mode == ReadMode::kBounded);
    ASSERT_TRUE(out.mode != ReadMode::kBounded || out.max_staleness || out.min_revision > 0);
    ASSERT_GE(out.min_revision, 0);
    ASSERT_GE(out.max_staleness.value_or(0), 0);
  }
  EXPECT_GT(accepted, 10'000);
}

TEST(Duration, ReadsEachUnit) {
  const std::pair<std::string_view, Micros> kCases[] = {
      {"500us", 500},       {"250ms", 250 * kMillisecond}, {"2s", 2 * kSecond},
      {"1m", 60 * kSecond}, {"1h", 3600 * kSecond},        {"0s", 0}};
  for (const auto& [text, expected] : kCases) {
    Micros got = -1;
    EXPECT_TRUE(ParseDuration(text, got)) << text;
    EXPECT_EQ(got, expected) << text;
  }
}

TEST(Duration, FormatsWithoutMakingAnythingLookFresher) {
  EXPECT_EQ(FormatDuration(0), "0us");
  EXPECT_EQ(FormatDuration(999), "999us");
  EXPECT_EQ(FormatDuration(12 * kMillisecond), "12ms");
  EXPECT_EQ(FormatDuration(12 * kMillisecond + 1), "13ms");
  Micros back = 0;
  EXPECT_TRUE(ParseDuration(FormatDuration(3 * kSecond), back));
  EXPECT_EQ(back, 3 * kSecond);
}

}  // namespace
}  // namespace coppice::api
