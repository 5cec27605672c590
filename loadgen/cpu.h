#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "loadgen/options.h"

namespace coppice::loadgen {

struct CpuUse {
  std::string name;
  Micros cpu = 0;
  int processes = 0;
  bool incomplete = false;  // a process ended meanwhile: `cpu` lacks its part
};

// The CPU that processes use between Begin and End, all their threads, in user and kernel mode.
class CpuMeter {
 public:
  explicit CpuMeter(std::vector<CpuGroup> groups) : groups_(std::move(groups)) {}

  void Begin() { begin_ = Sample(); }
  // One for each group, then `loadgen`: this process.
  std::vector<CpuUse> End() const;

 private:
  std::vector<std::vector<Micros>> Sample() const;

  std::vector<CpuGroup> groups_;
  std::vector<std::vector<Micros>> begin_;
};

}  // namespace coppice::loadgen
