#include <gtest/gtest.h>

#include "common/base/failpoint_rules.h"

namespace coppice::failpoint {
namespace {

TEST(Failpoint, IsInertWithoutTheEnvironmentVariable) {
  EXPECT_FALSE(Armed());
  EXPECT_EQ(Reached("disk.sync"), Fault::kNone);
}

TEST(Failpoint, ActsOnItsOwnNameOnly) {
  Rules rules;
  ASSERT_TRUE(rules.Parse("disk.sync eio\n").ok());
  EXPECT_EQ(rules.Pass("disk.write"), nullptr);
  ASSERT_NE(rules.Pass("disk.sync"), nullptr);
  EXPECT_EQ(rules.Pass("disk.sync")->action, Action::kIoError);
}

TEST(Failpoint, SkipsThenActsThatManyTimes) {
  Rules rules;
  ASSERT_TRUE(rules.Parse("a enospc skip=2 times=3").ok());
  std::string acted;
  for (int i = 0; i < 7; ++i) acted += rules.Pass("a") != nullptr ? 'x' : '.';
  EXPECT_EQ(acted, "..xxx..");
}

TEST(Failpoint, KillsAndStopsOnce) {
  for (const char* action : {"kill", "stop"}) {
    Rules rules;
    ASSERT_TRUE(rules.Parse("a " + std::string(action)).ok());
    EXPECT_NE(rules.Pass("a"), nullptr);
    EXPECT_EQ(rules.Pass("a"), nullptr) << action;
  }
}

TEST(Failpoint, ParsingAnewForgetsTheCounts) {
  Rules rules;
  ASSERT_TRUE(rules.Parse("a on times=1").ok());
  EXPECT_NE(rules.Pass("a"), nullptr);
  ASSERT_TRUE(rules.Parse("# nothing else\n\n  a delay=20 times=1 # slow\n").ok());
  const Rule* rule = rules.Pass("a");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->action, Action::kDelay);
  EXPECT_EQ(rule->delay_ms, 20U);
}

TEST(Failpoint, ALineThatCannotBeReadArmsNothing) {
  for (const char* text : {"a", "a explode", "a kill skip", "a kill skip=", "a kill skip=x",
                           "a delay=", "a kill 3", "a eio\nb explode"}) {
    Rules rules;
    const Status status = rules.Parse(text);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(rules.Pass("a"), nullptr) << text;
  }
}

}  // namespace
}  // namespace coppice::failpoint
