#include "common/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace coppice {
namespace {

// The vectors of RFC 3720, appendix B.4.
TEST(Crc32c, MatchesTheRfcVectors) {
  EXPECT_EQ(Crc32c(0, std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(0, std::string(32, '\xff')), 0x62a8ab43U);
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  EXPECT_EQ(Crc32c(0, ascending), 0x46dd794eU);
  EXPECT_EQ(Crc32c(0, "123456789"), 0xe3069283U);
}

TEST(Crc32c, ContinuesAcrossPieces) {
  const std::string text = "a coppice is a wood in which many stems grow from one root";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(Crc32c(0, text.substr(0, cut)), text.substr(cut)), Crc32c(0, text));
  }
}

}  // namespace
}  // namespace coppice
