#include "common/node/allocator.h"

namespace coppice::node {

void UseHugePages() {}

}  // namespace coppice::node
