#include "common/base/tagged.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "common/base/ids.h"

namespace coppice {
namespace {

static_assert(!std::is_convertible_v<Term, Index>);
static_assert(!std::is_convertible_v<int, Index>);

TEST(Tagged, ArithmeticKeepsTheKind) {
  Index index(5);
  EXPECT_EQ(index + 2, Index(7));
  EXPECT_EQ(Index(7) - index, 2U);
  EXPECT_EQ(++index, Index(6));
  EXPECT_LT(Index(1), Index(2));
}

}  // namespace
}  // namespace coppice
