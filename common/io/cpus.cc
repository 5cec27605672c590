#include "common/io/cpus.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace coppice::io {
namespace {

constexpr int kUnlimited = 1 << 20;

int FromAffinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return kUnlimited;
  return CPU_COUNT(&set);
}

// The path of this process in the hierarchy that has `controller` ("" for v2).
std::string CgroupPath(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controllers == ",," ? controller.empty()
                            : !controller.empty() &&
                                  controllers.find("," + controller + ",") != std::string::npos) {
      return line.substr(second + 1);
    }
  }
  return {};
}

int Ceil(double quota, double period) {
  if (quota <= 0 || period <= 0) return kUnlimited;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

int FromCgroupV2() {
  std::ifstream file("/sys/fs/cgroup" + CgroupPath("") + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return kUnlimited;
  return Ceil(std::stod(quota), period);
}

int FromCgroupV1() {
  const std::string folder = "/sys/fs/cgroup/cpu" + CgroupPath("cpu");
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return kUnlimited;
  return Ceil(quota, period);
}

}  // namespace

int UsableCpus() {
  return std::max(1, std::min({FromAffinity(), FromCgroupV2(), FromCgroupV1()}));
}

}  // namespace coppice::io
