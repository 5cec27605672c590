#include "common/node/allocator.h"

namespace coppice::node {

void UseHugePages() {}

std::size_t AllocatedByThread() {
  return 0;
}

}  // namespace coppice::node
