#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/entry.h"
#include "common/base/status.h"
#include "common/io/disk.h"

namespace coppice::wal {

enum class ScanResult {
  kRecord,
  kEnd,      // only zeros follow
  kTorn,     // a write that a crash cut short: docs/formats.md says when it is one
  kDamaged,  // anything else
};

struct ScannedRecord {
  RecordHeader header;
  std::string_view bytes;  // header and payload; valid until the scanner's next call
  std::uint64_t offset = 0;
};

// Reads a file's records front to back, both checksums verified, and tells a torn write from
// damage. A disk writes a sector as a whole or not at all, into sectors that were zero; so a record
// was torn if the file ends inside it or its part of some sector is all zero.
// Thread: one. The file must outlive it and must not change up to `limit`.
class RecordScanner {
 public:
  // Reads [offset, limit) of the file in pieces of `chunk_bytes`.
  RecordScanner(const io::File& file, std::uint64_t offset, std::uint64_t limit,
                std::uint64_t chunk_bytes);

  // kRecord moves on; at any other result the scanner stays. An error is the disk's.
  StatusOr<ScanResult> Next(ScannedRecord& record);
  void Seek(std::uint64_t offset) { offset_ = offset; }

  // Of the next record.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  // After kTorn or kDamaged: what is wrong.
  [[nodiscard]] const char* reason() const { return reason_; }
  // After kEnd or kTorn: all from here on is zero. At least offset().
  StatusOr<std::uint64_t> ZerosFrom();

 private:
  StatusOr<std::string_view> View(std::uint64_t offset, std::uint64_t size);
  ScanResult Fail(ScanResult result, const char* reason);
  ScanResult TornOrDamaged(std::string_view bytes, const char* reason);
  StatusOr<ScanResult> ClassifyZeros();

  const io::File& file_;
  const std::uint64_t chunk_bytes_;
  std::uint64_t limit_;
  std::uint64_t offset_;
  const char* reason_ = "";
  std::string buffer_;
  std::uint64_t buffer_offset_ = 0;
};

}  // namespace coppice::wal
