#pragma once

#include "common/base/status.h"
#include "loadgen/check.h"
#include "loadgen/history.h"
#include "loadgen/surviving_log.h"

namespace coppice::loadgen {

// Holds a history against the log: the reference model (loadgen/oracle.h) replays it, and each
// acknowledged write must be in it once, at its revision; no refused one is; each answer is the
// model's state at its own revision, each event one of its changes, and no watcher lacks any.
// What ties answers to real time is CheckHistory's.
//
// Which entries count. All up to the saved commit index were committed; it lags, so behind it there
// are committed entries too, and at the very end perhaps some that never were. Those count up to
// the one that makes the highest revision in the history's answers and events: only what is
// committed is shown to clients, and two logs that hold a committed entry are the same up to it
// (Raft's log matching and leader completeness). What lies behind that nobody has seen: it is left
// out, and nothing is claimed of it. The voter must have caught up before it was stopped: one that
// was behind lacks what others acknowledged, and shows as `past-log`.
//
// Compactions need no care: the model forgets nothing, and a read below one is an error.
//
// DataLoss: the log has a gap or a command that cannot be read. Fills report.log.
Status CheckLog(const History& history, const SurvivingLog& log, CheckReport& report);

}  // namespace coppice::loadgen
