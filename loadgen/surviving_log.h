#pragma once

#include <string>
#include <vector>

#include "common/base/entry.h"
#include "common/base/status.h"
#include "common/io/disk.h"

namespace coppice::loadgen {

// What a voter that no longer runs has left of its log.
struct SurvivingLog {
  std::vector<EntryPtr> entries;  // from index 1 on; the last ones may never have been committed
  Index commit;                   // so far they were, as its last hard state says: it lags behind
};

// Reads the log whose segments are in `directory`, with the production's reader, and changes
// nothing. A torn tail is left out. DataLoss names the file and the offset of damage.
StatusOr<SurvivingLog> ReadSurvivingLog(io::Disk& disk, const std::string& directory);

// Of a voter's data directory or a copy of it (or of the log's directory itself) on the real disk.
// FailedPrecondition: a process has the log open.
StatusOr<SurvivingLog> ReadSurvivingLog(const std::string& data_directory);

}  // namespace coppice::loadgen
