#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/io/disk.h"
#include "common/wal/format.h"
#include "common/wal/wal.h"

namespace coppice::wal {

// One file of the log: records from its start, then zeros up to its end.
struct Segment {
  std::unique_ptr<io::File> file;
  std::string path;
  std::uint64_t sequence = 0;
  std::uint64_t preamble = 0;  // where what it was made with ends: header and hard state
  std::uint64_t end = 0;       // where the records end
  std::uint64_t size = 0;      // of the file; [end, size) is zero
  std::uint32_t last_crc = 0;  // header_crc of the last record
};

// A segment that stood completely before it got its name: at each moment of a crash the log has it
// with its header or has it not at all. ResourceExhausted: there is none, and nothing has changed.
// Any other error may have left one.
StatusOr<Segment> CreateSegment(io::Disk& disk, const std::string& directory,
                                const SegmentHeader& header,
                                const std::optional<HardState>& hard_state,
                                const WalOptions& options);

// Makes [end, needed) of the segment zeros that are in the file, and more in one step.
// ResourceExhausted: the disk is full, and the log is as it was.
Status WriteZerosAhead(Segment& segment, std::uint64_t needed, const WalOptions& options);

// Writes zeros to [from, to) of the file.
Status WriteZeros(io::File& file, std::uint64_t from, std::uint64_t to);

}  // namespace coppice::wal
