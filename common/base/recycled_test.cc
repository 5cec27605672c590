#include "common/base/recycled.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace coppice {
namespace {

struct Base {
  virtual ~Base() = default;
};
struct Thing final : Base, Recycled<Thing, 3> {
  long payload[4] = {};
};

TEST(Recycled, TheBlockThatWasFreedLastIsUsedNext) {
  const void* first = nullptr;
  {
    const auto thing = std::make_unique<Thing>();
    first = thing.get();
  }
  const auto again = std::make_unique<Thing>();
  EXPECT_EQ(again.get(), first);
}

TEST(Recycled, DestroyingThroughABaseGivesTheBlockBack) {
  std::unique_ptr<Base> thing = std::make_unique<Thing>();
  const void* const block = thing.get();
  thing.reset();
  EXPECT_EQ(std::make_unique<Thing>().get(), block);
}

TEST(Recycled, ObjectsInUseHaveBlocksOfTheirOwn) {
  std::vector<std::unique_ptr<Thing>> things;
  for (int round = 0; round < 3; ++round) {
    std::set<const Thing*> blocks;
    for (int i = 0; i < 10; ++i) blocks.insert(things.emplace_back(new Thing).get());
    EXPECT_EQ(blocks.size(), 10U);
    things.clear();  // more than are kept
  }
}

TEST(Recycled, ABlockMayEndOnAnotherThread) {
  auto thing = std::make_unique<Thing>();
  std::thread([moved = std::move(thing)]() mutable { moved.reset(); }).join();
  EXPECT_NE(std::make_unique<Thing>(), nullptr);
}

}  // namespace
}  // namespace coppice
