#pragma once

#include <cstdint>
#include <optional>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice {

enum class ReadMode : std::uint8_t { kLinearizable = 0, kBounded = 1, kSerializable = 2 };

// What a request may be served from (docs/consistency.md).
// Invariant: max_staleness is set only with kBounded, and kBounded has one bound at least.
struct Consistency {
  ReadMode mode = ReadMode::kLinearizable;
  std::optional<Micros> max_staleness;
  Revision min_revision = 0;          // 0 = none; goes with every mode
  std::uint64_t session_cluster = 0;  // cluster id named in coppice-min-revision; 0 = none
  bool trailers = false;        // the request carried coppice-* metadata: answer with trailers
  bool require_leader = false;  // `hasleader: true`

  bool operator==(const Consistency&) const = default;
};

}  // namespace coppice
