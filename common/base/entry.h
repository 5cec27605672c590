#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace coppice {

// A log record in the one form it keeps from the proposer's loop through the WAL and the peers'
// wire to the last learner (docs/formats.md). Little-endian:
//
//   0 len u32           bytes of payload
//   4 payload_crc u32   CRC32C of the payload
//   8 term u64
//  16 index u64
//  24 kind u8           RecordKind
//  25 version u8        of the payload's encoding
//  26 flags u16
//  28 header_crc u32    CRC32C of the 28 bytes before it
//  32 payload
constexpr std::size_t kRecordHeaderSize = 32;
constexpr std::size_t kRecordPayloadMax = 64U << 20;

enum class RecordKind : std::uint8_t {
  kNoop = 1,           // the first entry of a leader's term; no payload
  kCommand = 2,        // a state machine command (mvcc::Command)
  kConfiguration = 3,  // a Raft configuration (raft::Configuration)
  kRegistry = 4,       // a registry change (replica::Registry); makes no revision
  // The following never travel: they are the WAL's own.
  kHardState = 64,
  kSegmentHeader = 65,
  kSnapshotBase = 66,
};

struct RecordHeader {
  std::uint32_t payload_size = 0;
  std::uint32_t payload_crc = 0;
  Term term;
  Index index;
  RecordKind kind = RecordKind::kNoop;
  std::uint8_t version = 1;
  std::uint16_t flags = 0;
};

// Writes the 32 bytes at `out`, header_crc included.
void EncodeRecordHeader(const RecordHeader& header, char* out);

enum class RecordError { kOk, kShort, kBadHeader, kBadPayload };
// Reads the header at the front of `data` and verifies header_crc; the payload is not looked at.
RecordError DecodeRecordHeader(std::string_view data, RecordHeader& header);

// An immutable log record, shared by all that hold it. Any thread may read it.
class Entry {
 public:
  // Computes payload_crc; a proposer calls this before term and index are known...
  static std::uint32_t PayloadCrc(std::string_view payload);
  // ...and the leader this.
  static std::shared_ptr<const Entry> Make(Term term, Index index, RecordKind kind,
                                           std::string_view payload, std::uint32_t payload_crc);
  static std::shared_ptr<const Entry> Make(Term term, Index index, RecordKind kind,
                                           std::string_view payload);
  // Reads one record at the front of `data`, both checksums verified. On kOk sets `entry` and
  // removes the record from `data`; otherwise `data` is unchanged.
  static RecordError Read(std::string_view& data, std::shared_ptr<const Entry>& entry);

  Entry(const RecordHeader& header, std::string bytes)
      : header_(header), bytes_(std::move(bytes)) {}

  [[nodiscard]] Term term() const { return header_.term; }
  [[nodiscard]] Index index() const { return header_.index; }
  [[nodiscard]] RecordKind kind() const { return header_.kind; }
  [[nodiscard]] std::uint8_t version() const { return header_.version; }
  [[nodiscard]] std::string_view record() const { return bytes_; }  // header and payload
  [[nodiscard]] std::string_view payload() const {
    return std::string_view(bytes_).substr(kRecordHeaderSize);
  }

 private:
  RecordHeader header_;
  std::string bytes_;
};
using EntryPtr = std::shared_ptr<const Entry>;

}  // namespace coppice
