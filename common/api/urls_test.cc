#include "common/api/urls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <string>

#include "common/base/rng.h"

namespace coppice::api {
namespace {

using testing::HasSubstr;

std::string Refused(std::string_view text) {
  const auto urls = ParseListenUrls("--listen-client-urls", text);
  EXPECT_FALSE(urls.ok()) << text;
  EXPECT_TRUE(MessageOf(urls.status()).starts_with("--listen-client-urls: ")) << text;
  return std::string(MessageOf(urls.status()));
}

TEST(Urls, ListsAreSplitAtCommas) {
  const auto urls = ParseUrls("--upstream", "http://a:1,http://[::1]:65535/,http://10.0.0.1:0");
  ASSERT_TRUE(urls.ok()) << urls.status();
  ASSERT_EQ(urls->size(), 3u);
  EXPECT_EQ((*urls)[0], (Url{"a", 1}));
  EXPECT_EQ((*urls)[1], (Url{"::1", 65535}));
  EXPECT_EQ((*urls)[1].ToString(), "http://[::1]:65535");
  EXPECT_EQ((*urls)[2].Authority(), "10.0.0.1:0");
}

TEST(Urls, AListenerHasItsOwnConsistency) {
  const auto urls = ParseListenUrls(
      "--listen-client-urls",
      "http://0.0.0.0:2379,http://0.0.0.0:2381?consistency=bounded&max-staleness=500ms");
  ASSERT_TRUE(urls.ok()) << urls.status();
  ASSERT_EQ(urls->size(), 2u);
  EXPECT_EQ((*urls)[0].default_consistency, Consistency());
  EXPECT_EQ((*urls)[1].default_consistency.mode, ReadMode::kBounded);
  EXPECT_EQ((*urls)[1].default_consistency.max_staleness, 500 * kMillisecond);
  EXPECT_TRUE((*urls)[1].url.Wildcard());
}

TEST(Urls, WhatIsWrongIsSaid) {
  EXPECT_THAT(Refused("https://a:1"), HasSubstr("TLS is not supported yet"));
  EXPECT_THAT(Refused(""), HasSubstr("empty"));
  EXPECT_THAT(Refused("http://a:1,"), HasSubstr("empty"));
  EXPECT_THAT(Refused("a:1"), HasSubstr("http://host:port"));
  EXPECT_THAT(Refused("unix:///a"), HasSubstr("http://host:port"));
  EXPECT_THAT(Refused("http://a"), HasSubstr("port is missing"));
  EXPECT_THAT(Refused("http://:1"), HasSubstr("http://host:port"));
  EXPECT_THAT(Refused("http://a b:1"), HasSubstr("http://host:port"));
  EXPECT_THAT(Refused("http://a:65536"), HasSubstr("port is not a number"));
  EXPECT_THAT(Refused("http://a:x"), HasSubstr("port is not a number"));
  EXPECT_THAT(Refused("http://a:"), HasSubstr("port is not a number"));
  EXPECT_THAT(Refused("http://::1:80"), HasSubstr("brackets"));
  EXPECT_THAT(Refused("http://[::1:80"), HasSubstr("']'"));
  EXPECT_THAT(Refused("http://a:1/path"), HasSubstr("no path"));
  EXPECT_THAT(Refused("http://a:1?consistency=strong"), HasSubstr("linearizable, bounded"));
}

TEST(Urls, AnErrorIsOneLineWhereverItsTextComesFrom) {
  for (const std::string query : {"consistency=a\nb", "max-staleness=\r1", "x\ny=1"}) {
    const auto urls = ParseListenUrls("--listen-client-urls", "http://h:1?" + query);
    ASSERT_FALSE(urls.ok());
    EXPECT_EQ(MessageOf(urls.status()).find_first_of("\r\n"), std::string_view::npos) << query;
  }
}

TEST(Urls, OnlyListenersTakeOptions) {
  EXPECT_FALSE(ParseUrl("--upstream", "http://a:1?consistency=serializable").ok());
}

TEST(Urls, NamedOnesKeepOrderAndRepeats) {
  const auto urls =
      ParseNamedUrls("--initial-cluster", "v1=http://a:1,v2=http://b:2,v1=http://c:3");
  ASSERT_TRUE(urls.ok()) << urls.status();
  ASSERT_EQ(urls->size(), 3u);
  EXPECT_EQ((*urls)[2].first, "v1");
  EXPECT_EQ((*urls)[2].second, (Url{"c", 3}));
  for (std::string_view bad : {"", "v1", "=http://a:1", "v1=a", "v1=http://a:1,,v2=http://b:1"}) {
    EXPECT_FALSE(ParseNamedUrls("--initial-cluster", bad).ok()) << bad;
  }
}

TEST(Urls, WhateverTheTextItIsAddressesOrOneLineOfError) {
  Rng rng(20'261'121);
  constexpr std::string_view kPieces[] = {"http://",
                                          "https://",
                                          "a",
                                          ":",
                                          "1",
                                          ",",
                                          "[",
                                          "]",
                                          "::1",
                                          "?",
                                          "/",
                                          "=",
                                          "&",
                                          "99999",
                                          "consistency=bounded",
                                          "max-staleness=1s",
                                          "\n",
                                          ""};
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (std::uint64_t n = rng.Below(9); n > 0; --n) text += kPieces[rng.Below(std::size(kPieces))];
    const auto urls = ParseListenUrls("--flag", text);
    if (!urls.ok()) {
      ASSERT_EQ(urls.status().code(), StatusCode::kInvalidArgument);
      ASSERT_EQ(MessageOf(urls.status()).find('\n'), std::string_view::npos);
      continue;
    }
    for (const ListenUrl& listen : *urls) {
      ASSERT_FALSE(listen.url.host.empty());
      ASSERT_TRUE(ParseUrl("--flag", listen.url.ToString()).ok()) << text;
    }
  }
}

}  // namespace
}  // namespace coppice::api
