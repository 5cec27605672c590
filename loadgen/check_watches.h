#pragma once

#include <string_view>

#include "loadgen/check.h"
#include "loadgen/check_revisions.h"
#include "loadgen/history.h"

namespace coppice::loadgen {

// Whether the key is in the watch's range.
bool Covers(const Record& watch, std::string_view key);

// What each watcher saw against the model (docs/consistency.md): in order, each change
// once, none before its start, none left out up to its end, and the end not before the last
// acknowledged write. O(n log n).
void CheckWatches(const History& history, const WriteModel& model, CheckReport& report);

}  // namespace coppice::loadgen
