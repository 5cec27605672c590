#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "common/base/crc32c.h"
#include "common/base/rng.h"
#include "loadgen/sim/clients/record.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {

// What all clients of a run have in common. Thread: one.
struct Shared {
  WorkloadOptions options;
  RunHistory history;
  Phase phase = Phase::kWarmUp;
  std::uint64_t operations = 0;  // begun
  std::uint64_t succeeded = 0;
  Revision highest = 0;  // acknowledged to anyone
  std::uint64_t digest = 0;
  // Counted for the coverage table.
  std::uint64_t repeated_reads = 0;
  std::uint64_t unknown_outcomes = 0;
  std::uint64_t bounded_reads = 0;
  std::uint64_t session_reads = 0;
  std::uint64_t refused_future = 0;
  std::uint64_t refused_compacted = 0;
  std::uint64_t watches_resumed = 0;
  std::uint64_t watches_compacted = 0;
  std::uint64_t watch_events = 0;
  std::uint64_t progress = 0;
  std::uint64_t fragments = 0;
  std::uint64_t slow_readers = 0;

  bool winding_down() const { return phase == Phase::kSettling; }
  void Saw(Revision revision) { highest = std::max(highest, revision); }
  void Mix(std::uint64_t value) { digest = Mix64(digest ^ value); }
  void Mix(std::string_view bytes) {
    Mix(static_cast<std::uint64_t>(bytes.size()) << 32 | Crc32c(0, bytes));
  }
};

// A pause of this mean, mostly short and now and then long. Integers only: libm differs between
// machines.
inline Micros Pause(Rng& rng, Micros mean) {
  const Micros most = rng.Chance(0.75) ? mean : 5 * mean;  // means of 1/2 and 5/2
  return rng.Between(0, most);
}

// What one client knows, over all that it does.
struct Session {
  bool in_session = false;
  Revision highest = 0;
  bool own_write = false;  // `highest` came with its own mutation
  std::uint64_t cluster_id = 0;

  void Saw(std::uint64_t cluster, Revision revision, bool mutation) {
    if (cluster != 0) cluster_id = cluster;
    if (revision <= highest) return;
    highest = revision;
    own_write = mutation;
  }
};

}  // namespace coppice::sim
