#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loadgen/check.h"
#include "loadgen/history.h"

namespace coppice::loadgen {

// A second opinion that ignores revisions: each key is a register, and its puts, deletes and
// linearizable gets must fit some order that extends real time. The search of Wing and Gong
// ("Testing and verifying concurrent objects", 1993) with Lowe's memory of states seen ("Testing
// for linearizability", 2017). A search that takes more than `steps_max` counts as a failure.
void CheckKeys(const History& history, std::uint64_t steps_max, CheckReport& report);

}  // namespace coppice::loadgen
