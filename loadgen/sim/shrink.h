#pragma once

#include <functional>
#include <string>

#include "loadgen/sim/run.h"

namespace coppice::sim {

// Looks for less that still violates the same property: without fault kinds, then with fewer
// nodes and clients, then with fewer operations. `say` hears of each step that was kept.
RunOptions Shrink(const RunOptions& failing, const std::string& property,
                  const std::function<void(const std::string&)>& say);

}  // namespace coppice::sim
