#pragma once

#include "loadgen/check.h"
#include "loadgen/history.h"

namespace coppice::loadgen {

// Each session by itself (docs/consistency.md): no answer is below the highest revision that an
// answer had shown the session before it was asked for, and a write is above it. Answers that were
// under way at the same time are not compared. O(n log n).
void CheckSessions(const History& history, CheckReport& report);

}  // namespace coppice::loadgen
