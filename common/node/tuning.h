#pragma once

#include <cstddef>

#include "common/base/time.h"

namespace coppice::node {

// Sizes and times that no flag sets; the simulator makes them small, so that what is rare happens.
struct Tuning {
  Micros flush_interval = 30 * kSecond;            // of the state store
  std::size_t flush_bytes = 64U << 20;             // applied and not flushed
  std::size_t unapplied_bytes = 64U << 20;         // of a voter: committed, not in the store yet
  std::size_t tail_window_bytes = 64U << 20;       // committed entries in memory for subscribers
  std::size_t event_ring_bytes = 64U << 20;        // recent events in memory for watchers
  std::size_t watch_response_bytes = 2U << 20;     // beyond this `fragment` splits
  Micros watch_progress_interval = 600 * kSecond;  // of progress_notify
};

}  // namespace coppice::node
