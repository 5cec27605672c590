#include "common/base/coding.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

TEST(Coding, VarintRoundTripsAtEveryWidth) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const std::uint64_t value : {1ULL << bit, (1ULL << bit) - 1, ~0ULL >> bit}) {
      std::string bytes;
      PutVarint(bytes, value);
      EXPECT_EQ(bytes.size(), static_cast<std::size_t>(VarintSize(value)));
      WireReader reader(bytes);
      std::uint64_t got = 0;
      ASSERT_TRUE(reader.Varint(got));
      EXPECT_EQ(got, value);
      EXPECT_TRUE(reader.done());
    }
  }
}

TEST(Coding, BigEndianOrdersAsNumbers) {
  std::string low;
  std::string high;
  PutBe64(low, 255);
  PutBe64(high, 256);
  EXPECT_LT(low, high);
  EXPECT_EQ(GetBe64(high.data()), 256U);
}

TEST(WireReader, FailsForGoodOnTruncatedInput) {
  std::string bytes;
  PutBytesField(bytes, 3, "hello");
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    WireReader reader(std::string_view(bytes).substr(0, cut));
    std::uint32_t field = 0;
    WireType type{};
    std::string_view value;
    EXPECT_FALSE(reader.Tag(field, type) && reader.Bytes(value)) << cut;
    EXPECT_TRUE(reader.failed());
    EXPECT_TRUE(reader.done());
  }
}

TEST(WireReader, RefusesFieldZeroAndUnknownWireTypes) {
  std::uint32_t field = 0;
  WireType type{};
  WireReader zero(std::string_view("\x02", 1));
  EXPECT_FALSE(zero.Tag(field, type));
  WireReader group(std::string_view("\x0b", 1));
  EXPECT_FALSE(group.Tag(field, type));
}

TEST(WireReader, RefusesVarintsLongerThanTenBytes) {
  const std::string bytes(11, '\x80');
  WireReader reader(bytes);
  std::uint64_t value = 0;
  EXPECT_FALSE(reader.Varint(value));
}

}  // namespace
}  // namespace coppice
