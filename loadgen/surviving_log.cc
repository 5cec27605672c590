#include "loadgen/surviving_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/io/posix_disk.h"
#include "common/wal/format.h"
#include "common/wal/wal.h"

namespace coppice::loadgen {
namespace {

// Only asked, not held: io::Disk::Lock would write into the file.
bool IsLocked(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
  close(fd);
  return locked;
}

}  // namespace

StatusOr<SurvivingLog> ReadSurvivingLog(io::Disk& disk, const std::string& directory) {
  SurvivingLog log;
  wal::Recovered recovered;
  COPPICE_RETURN_IF_ERROR(wal::Wal::Inspect(
      disk, directory, [&log](const EntryPtr& entry) { log.entries.push_back(entry); }, recovered));
  log.commit = recovered.hard_state.commit;
  return log;
}

StatusOr<SurvivingLog> ReadSurvivingLog(const std::string& data_directory) {
  std::error_code error;
  const std::string member = data_directory + "/member/wal";
  const std::string directory =
      std::filesystem::is_directory(member, error) ? member : data_directory;
  if (IsLocked(fmt::format("{}/{}", directory, wal::kLockName))) {
    return MakeStatus(StatusCode::kFailedPrecondition,
                      fmt::format("{} is the log of a process that runs; stop it, or give a copy "
                                  "made while it was stopped",
                                  directory));
  }
  io::PosixDisk disk;
  return ReadSurvivingLog(disk, directory);
}

}  // namespace coppice::loadgen
