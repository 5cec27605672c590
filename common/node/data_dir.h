#pragma once

#include <string>

#include "common/base/status.h"
#include "common/io/disk.h"

namespace coppice::node {

// Whether a voter, or a learner, may take `data_dir` for its own: it may be missing or empty, or be
// of such a process. That of the other tier, of an etcd server, or one that lacks the part that its
// store depends on: FailedPrecondition, with what to do. Asked before a lock is taken, so that a
// wrong --data-dir leaves no trace; changes nothing. Thread: any.
Status CheckVoterDirectory(io::Disk& disk, const std::string& data_dir);
Status CheckLearnerDirectory(io::Disk& disk, const std::string& data_dir);
// Creates what is missing of `directory`.
Status CreateDataDirectory(io::Disk& disk, const std::string& directory);
// What made a data directory unusable, with what to do about it.
Status WrongDataDir(const Status& error);

}  // namespace coppice::node
