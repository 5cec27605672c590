#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/wal/wal.h"

namespace coppice::wal {

// The log's own records and file names (docs/formats.md, "Log").
constexpr std::uint8_t kFormatVersion = 1;
constexpr std::uint64_t kSectorBytes = 512;  // what a disk writes as a whole or not at all

// The first record of each segment. It names what came before, so that a segment that is missing,
// foreign or out of its place is seen.
struct SegmentHeader {
  std::uint64_t cluster_id = 0;
  std::uint64_t node_id = 0;
  std::uint64_t sequence = 0;      // 1, 2, ...
  Index next_index;                // of the log when the segment was made
  std::uint64_t previous_end = 0;  // where the records of segment `sequence - 1` end; 0 for 1
  std::uint32_t previous_crc = 0;  // header_crc of its last record; 0 for 1
};

std::string EncodeSegmentHeader(const SegmentHeader& header);
// False if the payload has not the size of this version.
bool DecodeSegmentHeader(const RecordHeader& record, std::string_view payload,
                         SegmentHeader& header);

void AppendHardState(const HardState& hard_state, std::string& out);
bool DecodeHardState(const RecordHeader& record, std::string_view payload, HardState& hard_state);

// An entry of the Raft log, whether its kind is known here or not; otherwise the log's own.
inline bool IsEntryKind(RecordKind kind) {
  return kind != RecordKind{} && kind < RecordKind::kHardState;
}
// header_crc of an encoded record.
std::uint32_t HeaderCrcOf(std::string_view record);

// "0000000000000001-0000000000000001.wal": sequence and next_index in hex.
std::string SegmentFileName(std::uint64_t sequence, Index next_index);
bool ParseSegmentFileName(std::string_view name, std::uint64_t& sequence, Index& next_index);
constexpr std::string_view kSegmentSuffix = ".wal";
constexpr std::string_view kUnfinishedSuffix = ".wal.tmp";  // a segment that was being made
constexpr std::string_view kLockName = "LOCK";

}  // namespace coppice::wal
