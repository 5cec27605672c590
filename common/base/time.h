#pragma once

#include <cstdint>

namespace coppice {

// Durations and points of the local monotonic clock (CLOCK_BOOTTIME), in microseconds.
// A Time means nothing on another machine; nothing compares the clocks of two machines.
using Micros = std::int64_t;
using Time = std::int64_t;

constexpr Time kNever = INT64_MAX;
constexpr Micros kMillisecond = 1000;
constexpr Micros kSecond = 1000 * kMillisecond;

}  // namespace coppice
