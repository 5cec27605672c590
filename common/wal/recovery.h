#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/io/disk.h"
#include "common/wal/positions.h"
#include "common/wal/segment.h"
#include "common/wal/wal.h"

namespace coppice::wal {

constexpr std::uint64_t kRecoveryChunkBytes = 1U << 20;

// Whose log it is.
struct Owner {
  std::uint64_t cluster_id = 0;
  std::uint64_t node_id = 0;
  bool operator==(const Owner&) const = default;
};

// A log as it stands in its files.
struct Log {
  std::vector<Segment> segments;  // in order; their sequences are contiguous
  Positions positions;
  std::optional<HardState> hard_state;
  Index first_index = Index(1);  // what an entry of this log may have at least
  Index last_index;
};

// What follows the last whole record of the last segment and is not zero.
struct TornTail {
  std::uint64_t from = 0;
  std::uint64_t to = 0;  // == from: nothing
};

// Reads and verifies every segment in `directory`, without changing anything. No segment at all is
// an empty log. Nothing for `owner`: whoever's it is, but one owner's. `unfinished` gets the files
// that are no part of it and may go.
Status ReadLog(io::Disk& disk, const std::string& directory, std::optional<Owner> owner, Log& log,
               TornTail& tail, std::vector<std::string>& unfinished);

// DataLoss: which file, where, what, and what to do.
Status DamagedAt(const std::string& path, std::uint64_t offset, std::string_view reason);

}  // namespace coppice::wal
