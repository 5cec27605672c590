#pragma once

#include "loadgen/check.h"
#include "loadgen/check_revisions.h"
#include "loadgen/history.h"

namespace coppice::loadgen {

// What each watcher saw against the model (docs/consistency.md): in order, each change
// once, none before its start, none left out up to its end, and the end not before the last
// acknowledged write. O(n log n).
void CheckWatches(const History& history, const WriteModel& model, CheckReport& report);

}  // namespace coppice::loadgen
