#include "common/base/failpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "common/base/failpoint_rules.h"
#include "common/base/log.h"

namespace coppice::failpoint {
namespace {

// The file and what it said when last read.
struct State {
  std::mutex mutex;
  Rules rules;
  timespec changed{};
  ino_t inode = 0;
};

const char* Path() {
  return std::getenv("COPPICE_FAILPOINTS");
}

std::string ReadAll(const char* path) {
  std::string text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

void ReadAgainIfChanged(State& state) {
  struct stat info {};
  if (stat(Path(), &info) < 0) return;
  if (info.st_ino == state.inode && info.st_mtim.tv_sec == state.changed.tv_sec &&
      info.st_mtim.tv_nsec == state.changed.tv_nsec) {
    return;
  }
  state.inode = info.st_ino;
  state.changed = info.st_mtim;
  const Status status = state.rules.Parse(ReadAll(Path()));
  if (!status.ok()) COPPICE_LOG(kError, "{}: {}", Path(), MessageOf(status));
}

Fault CarryOut(const Rule& rule) {
  switch (rule.action) {
    case Action::kKill:
      std::raise(SIGKILL);
      return Fault::kNone;
    case Action::kStop:
      std::raise(SIGSTOP);
      return Fault::kNone;
    case Action::kDelay:
      std::this_thread::sleep_for(std::chrono::milliseconds(rule.delay_ms));
      return Fault::kNone;
    case Action::kIoError:
      return Fault::kIoError;
    case Action::kNoSpace:
      return Fault::kNoSpace;
    case Action::kOn:
      return Fault::kOn;
  }
  return Fault::kNone;
}

}  // namespace

namespace internal {

const bool kArmed = Path() != nullptr;

Fault Reached(std::string_view name) {
  static State state;
  Rule rule;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    ReadAgainIfChanged(state);
    const Rule* acts = state.rules.Pass(name);
    if (acts == nullptr) return Fault::kNone;
    rule = *acts;
  }
  COPPICE_LOG(kWarn, "failpoint {}", name);
  return CarryOut(rule);
}

}  // namespace internal
}  // namespace coppice::failpoint
