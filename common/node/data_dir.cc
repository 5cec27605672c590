#include "common/node/data_dir.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace coppice::node {
namespace {

bool Exists(io::Disk& disk, const std::string& file) {
  return disk.Open(file, io::Disk::Mode::kMustExist).ok();
}

// Whether the directory is there and has a file whose name ends so.
bool Holds(io::Disk& disk, const std::string& directory, std::string_view ending) {
  const auto names = disk.List(directory);
  return names.ok() && std::any_of(names->begin(), names->end(),
                                   [&](const std::string& name) { return name.ends_with(ending); });
}

Status Foreign(const std::string& data_dir, std::string_view whose) {
  return MakeStatus(
      StatusCode::kFailedPrecondition,
      fmt::format("{} is the data directory of {}: set --data-dir to one of this node's own",
                  data_dir, whose));
}

}  // namespace

Status CheckVoterDirectory(io::Disk& disk, const std::string& data_dir) {
  const std::string member = data_dir + "/member";
  if (Exists(disk, data_dir + "/identity")) return Foreign(data_dir, "a learner");
  if (Exists(disk, member + "/snap/db")) return Foreign(data_dir, "an etcd server");
  if (!Holds(disk, member + "/store", "") || Holds(disk, member + "/wal", ".wal")) {
    return OkStatus();
  }
  return MakeStatus(
      StatusCode::kFailedPrecondition,
      fmt::format("{0}/store is there and its log, {0}/wal, is not: put the log back, "
                  "which no store can do without",
                  member));
}

Status CheckLearnerDirectory(io::Disk& disk, const std::string& data_dir) {
  if (Exists(disk, data_dir + "/member/snap/db")) return Foreign(data_dir, "an etcd server");
  if (Exists(disk, data_dir + "/member/lock")) return Foreign(data_dir, "a voter");
  const std::string store = data_dir + "/store";
  if (!Holds(disk, store, "") || Exists(disk, data_dir + "/identity")) return OkStatus();
  return MakeStatus(StatusCode::kFailedPrecondition,
                    fmt::format("{} is there without {}/identity: set --data-dir to this learner's "
                                "own, or, if it is, remove it to start anew",
                                store, data_dir));
}

Status WrongDataDir(const Status& error) {
  return MakeStatus(error.code(),
                    fmt::format("{}: set --data-dir to a directory that this process may write to",
                                MessageOf(error)));
}

Status CreateDataDirectory(io::Disk& disk, const std::string& directory) {
  const Status made = disk.CreateDirectories(directory);
  return made.ok() ? made : WrongDataDir(made);
}

}  // namespace coppice::node
