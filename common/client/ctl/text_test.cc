#include "common/client/ctl/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice::ctl {
namespace {

TEST(Quote, EscapesAsGoDoes) {
  EXPECT_EQ(Quote("a\"b\\c\n\x01\xff\u00e9"), "\"a\\\"b\\\\c\\n\\x01\\xff\u00e9\"");
}

TEST(Unquote, ReadsWhatQuoteWrites) {
  const std::string bytes("\0\x7f\n\"\\ \xfe z", 9);
  const std::string quoted = Quote(bytes) + " rest";
  std::string_view text = quoted;
  std::string out;
  ASSERT_TRUE(Unquote(text, out));
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(text, " rest");
}

TEST(Unquote, RefusesWhatHasNoEndOrNoQuote) {
  std::string out;
  for (std::string_view text : {"", "a", "\"a", "\"\\q\"", "\"\\x1\""}) {
    EXPECT_FALSE(Unquote(text, out)) << text;
  }
}

TEST(Base64, PadsToFours) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo\xff"), "Zm9v/w==");
}

TEST(HumanBytes, CountsInThousands) {
  EXPECT_EQ(HumanBytes(9), "9 B");
  EXPECT_EQ(HumanBytes(20480), "20 kB");
  EXPECT_EQ(HumanBytes(2'500'000), "2.5 MB");
  EXPECT_EQ(HumanBytes(82'854'982), "83 MB");
}

TEST(GoDuration, DropsZerosAndPicksTheUnit) {
  EXPECT_EQ(GoDuration(1'635'464), "1.635464ms");
  EXPECT_EQ(GoDuration(1'500'000'000), "1.5s");
  EXPECT_EQ(GoDuration(2'000'000), "2ms");
}

TEST(PrefixEnd, IsTheNextKeyOfTheSameLength) {
  EXPECT_EQ(PrefixEnd("foo"), "fop");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), std::string(1, '\0'));
  EXPECT_EQ(PrefixEnd(""), std::string(1, '\0'));
}

TEST(BorderedTable, CentresHeadsAndAlignsCellsRight) {
  EXPECT_EQ(BorderedTable({"id", "name"}, {{"12345", "v1"}}),
            "+-------+------+\n"
            "|  ID   | NAME |\n"
            "+-------+------+\n"
            "| 12345 |   v1 |\n"
            "+-------+------+\n");
}

TEST(SplitWords, KeepsQuotedWordsTogether) {
  std::vector<std::string> words;
  ASSERT_TRUE(SplitWords("  put key \"a \\\"b\\\"\\n\" 'c d' --lease=1", words));
  EXPECT_THAT(words, testing::ElementsAre("put", "key", "a \"b\"\n", "c d", "--lease=1"));
  EXPECT_FALSE(SplitWords("put \"a", words));
}

}  // namespace
}  // namespace coppice::ctl
