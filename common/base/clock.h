#pragma once

#include "common/base/time.h"

namespace coppice {

// Where a process's time comes from: the machine's clock, or the simulator's.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time Now() const = 0;                 // monotonic, counts while the machine is suspended
  virtual std::int64_t UnixMicros() const = 0;  // wall clock, for log lines and reports only
};

}  // namespace coppice
