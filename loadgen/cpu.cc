#include "loadgen/cpu.h"

#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>

namespace coppice::loadgen {
namespace {

constexpr Micros kGone = -1;

// Of /proc/PID/stat, fields utime and stime (proc(5)): what a process may not ask the clock for.
Micros CpuByProc(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return kGone;
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  Micros user = 0;
  Micros system = 0;
  if (!(fields >> user >> system)) return kGone;
  return (user + system) * kSecond / sysconf(_SC_CLK_TCK);
}

// The process's CPU clock counts nanoseconds; /proc counts ticks of 10 ms.
Micros CpuOf(int pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &time) == 0) {
    return static_cast<Micros>(time.tv_sec) * kSecond + time.tv_nsec / 1000;
  }
  return CpuByProc(pid);
}

}  // namespace

std::vector<std::vector<Micros>> CpuMeter::Sample() const {
  std::vector<std::vector<Micros>> sample;
  for (const CpuGroup& group : groups_) {
    auto& cpus = sample.emplace_back();
    for (const int pid : group.pids) cpus.push_back(CpuOf(pid));
  }
  sample.push_back({CpuOf(getpid())});
  return sample;
}

std::vector<CpuUse> CpuMeter::End() const {
  const auto end = Sample();
  std::vector<CpuUse> uses;
  for (std::size_t g = 0; g < end.size(); ++g) {
    CpuUse& use = uses.emplace_back();
    use.name = g < groups_.size() ? groups_[g].name : "loadgen";
    use.processes = static_cast<int>(end[g].size());
    for (std::size_t p = 0; p < end[g].size(); ++p) {
      if (end[g][p] == kGone || begin_[g][p] == kGone) {
        use.incomplete = true;
      } else {
        use.cpu += end[g][p] - begin_[g][p];
      }
    }
  }
  return uses;
}

}  // namespace coppice::loadgen
