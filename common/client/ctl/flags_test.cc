#include "common/client/ctl/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

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

TEST_F(FlagsTest, LettersMayShareAWordWithEachOtherAndWithAValue) {
  bool verbose = false;
  flags.Bool("show-served", &verbose, "", 'v');
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"-wjson", "a"}, {"-w=json", "a"}, {"-w", "json", "a"}}) {
    arguments.clear();
    format.clear();
    EXPECT_FALSE(Parse(words));
    EXPECT_EQ(format, "json");
    EXPECT_THAT(arguments, ElementsAre("a"));
    EXPECT_FALSE(verbose);
  }
  EXPECT_FALSE(Parse({"-vwtable"}));
  EXPECT_TRUE(verbose);
  EXPECT_EQ(format, "table");
  EXPECT_EQ(Parse({"-vw"})->message, "flag needs an argument: --write-out");
  EXPECT_TRUE(flags.TakesNext("-vw"));
  EXPECT_FALSE(flags.TakesNext("-v"));
}

TEST_F(FlagsTest, TheEnvironmentHasValuesForEveryFlag) {
  setenv("FLAGSTEST_WRITE_OUT", "json", 1);
  setenv("FLAGSTEST_LIMIT", "", 1);
  EXPECT_FALSE(flags.ReadEnvironment("FLAGSTEST"));
  EXPECT_EQ(format, "json");
  setenv("FLAGSTEST_DIAL_TIMEOUT", "soon", 1);
  EXPECT_THAT(flags.ReadEnvironment("FLAGSTEST")->message,
              testing::HasSubstr("FLAGSTEST_DIAL_TIMEOUT"));
}

TEST_F(FlagsTest, ABooleanMayBeSetToFalse) {
  EXPECT_FALSE(Parse({"--prefix", "--prefix=false"}));
  EXPECT_FALSE(prefix);
}

TEST_F(FlagsTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(Parse({"--foo"})->message, "unknown flag: --foo");
  EXPECT_EQ(Parse({"-x"})->message, "unknown shorthand flag: 'x' in -x");
  EXPECT_EQ(Parse({"--limit"})->message, "flag needs an argument: --limit");
  EXPECT_THAT(Parse({"--limit=many"})->message, testing::HasSubstr("a whole number"));
  EXPECT_THAT(Parse({"--dial-timeout=5"})->message, testing::HasSubstr("a duration"));
}

TEST_F(FlagsTest, OnlyFlagsWithAValueTakeTheNextWord) {
  EXPECT_TRUE(flags.TakesNext("--limit"));
  EXPECT_TRUE(flags.TakesNext("-w"));
  EXPECT_FALSE(flags.TakesNext("-wjson"));
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
