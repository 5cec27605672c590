#include "common/client/ctl/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice::ctl {
namespace {

using testing::ElementsAre;

struct FlagsTest : testing::Test {
  FlagsTest() {
    flags.Bool("prefix", &prefix, "");
    flags.Int("limit", &limit, "");
    flags.Text("write-out", &format, "", 'w');
    flags.Duration("dial-timeout", &timeout, "");
  }
  Outcome Parse(std::vector<std::string> words) { return flags.Parse(words, arguments); }

  FlagSet flags;
  bool prefix = false;
  std::int64_t limit = 0;
  std::string format;
  Micros timeout = 0;
  std::vector<std::string> arguments;
};

TEST_F(FlagsTest, FlagsMayStandAnywhereAndInEitherForm) {
  EXPECT_FALSE(Parse({"a", "--prefix", "--limit=3", "b", "-w", "json", "--dial-timeout", "1m2s"}));
  EXPECT_TRUE(prefix);
  EXPECT_EQ(limit, 3);
  EXPECT_EQ(format, "json");
  EXPECT_EQ(timeout, 62 * kSecond);
  EXPECT_THAT(arguments, ElementsAre("a", "b"));
}

TEST_F(FlagsTest, ArgumentsAreTakenAsTheyAre) {
  EXPECT_FALSE(Parse({"", "[x]", "-", "--", "--prefix", "-w"}));
  EXPECT_FALSE(prefix);
  EXPECT_THAT(arguments, ElementsAre("", "[x]", "-", "--prefix", "-w"));
}

TEST_F(FlagsTest, ABooleanMayBeSetToFalse) {
  EXPECT_FALSE(Parse({"--prefix", "--prefix=false"}));
  EXPECT_FALSE(prefix);
}

TEST_F(FlagsTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(Parse({"--foo"})->message, "unknown flag: --foo");
  EXPECT_EQ(Parse({"-x"})->message, "unknown flag: -x");
  EXPECT_EQ(Parse({"--limit"})->message, "flag needs an argument: --limit");
  EXPECT_THAT(Parse({"--limit=many"})->message, testing::HasSubstr("a whole number"));
  EXPECT_THAT(Parse({"--dial-timeout=5"})->message, testing::HasSubstr("a duration"));
}

TEST_F(FlagsTest, OnlyFlagsWithAValueTakeTheNextWord) {
  EXPECT_TRUE(flags.TakesNext("--limit"));
  EXPECT_TRUE(flags.TakesNext("-w"));
  EXPECT_FALSE(flags.TakesNext("--limit=1"));
  EXPECT_FALSE(flags.TakesNext("--prefix"));
}

TEST(ParseDuration, ReadsGosNotation) {
  Micros out = 0;
  EXPECT_TRUE(ParseDuration("250ms", out));
  EXPECT_EQ(out, 250'000);
  EXPECT_TRUE(ParseDuration("1.5s", out));
  EXPECT_EQ(out, 1'500'000);
  EXPECT_TRUE(ParseDuration("1h2m", out));
  EXPECT_EQ(out, 3720 * kSecond);
  EXPECT_FALSE(ParseDuration("", out));
  EXPECT_FALSE(ParseDuration("5", out));
  EXPECT_FALSE(ParseDuration("5 s", out));
  EXPECT_FALSE(ParseDuration("s", out));
}

}  // namespace
}  // namespace coppice::ctl
