#include "common/node/allocator.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace coppice::node {
namespace {

// Whether the kernel was asked for huge pages where `address` is: "hg" among the flags of its
// mapping (proc(5), smaps). It says so whether or not the machine has any.
bool Advised(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      here = begin <= wanted && wanted < end;
    } else if (here && line.starts_with("VmFlags:")) {
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

using Block = std::vector<char>;

TEST(Allocator, HugePagesOnceTheProcessIsLarge) {
  constexpr std::size_t kBlock = 4096;
  UseHugePages();
  const Block first(kBlock);
  std::vector<std::unique_ptr<Block>> blocks;  // as records are: many that are small
  for (std::size_t bytes = 0; bytes < 3 * kSmallPagesBelow; bytes += kBlock) {
    blocks.push_back(std::make_unique<Block>(kBlock));
  }
  EXPECT_FALSE(Advised(first.data()));
  EXPECT_TRUE(Advised(blocks.back()->data()));
}

TEST(Allocator, CountsWhatAThreadHas) {
  const std::size_t before = AllocatedByThread();
  auto block = std::make_unique<Block>(100'000);
  EXPECT_GE(AllocatedByThread(), before + 100'000);
  block.reset();
  EXPECT_EQ(AllocatedByThread(), before);
}

}  // namespace
}  // namespace coppice::node
