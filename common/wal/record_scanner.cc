#include "common/wal/record_scanner.h"

#include <algorithm>
#include <cstring>

#include "common/base/crc32c.h"
#include "common/wal/format.h"

namespace coppice::wal {
namespace {

bool AllZero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

std::uint64_t SectorEnd(std::uint64_t offset) {
  return (offset / kSectorBytes + 1) * kSectorBytes;
}

// Whether the part that `bytes`, which lie at `offset`, have of some sector is all zero.
bool MissesSector(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::uint64_t part = std::min<std::uint64_t>(SectorEnd(offset) - offset, bytes.size());
    if (AllZero(bytes.substr(0, part))) return true;
    bytes.remove_prefix(part);
    offset += part;
  }
  return false;
}

}  // namespace

RecordScanner::RecordScanner(const io::File& file, std::uint64_t offset, std::uint64_t limit,
                             std::uint64_t chunk_bytes)
    : file_(file), chunk_bytes_(chunk_bytes), limit_(limit), offset_(offset) {}

StatusOr<std::string_view> RecordScanner::View(std::uint64_t offset, std::uint64_t size) {
  if (offset >= limit_) return std::string_view();
  size = std::min(size, limit_ - offset);
  if (offset < buffer_offset_ || offset + size > buffer_offset_ + buffer_.size()) {
    const std::uint64_t want = std::min(std::max(size, chunk_bytes_), limit_ - offset);
    buffer_offset_ = offset;
    COPPICE_RETURN_IF_ERROR(file_.ReadAt(offset, want, buffer_));
    if (buffer_.size() < want) limit_ = offset + buffer_.size();
    size = std::min<std::uint64_t>(size, buffer_.size());
  }
  return std::string_view(buffer_).substr(offset - buffer_offset_, size);
}

ScanResult RecordScanner::Fail(ScanResult result, const char* reason) {
  reason_ = reason;
  return result;
}

ScanResult RecordScanner::TornOrDamaged(std::string_view bytes, const char* reason) {
  if (MissesSector(offset_, bytes))
    return Fail(ScanResult::kTorn, "a sector of the record is zero");
  return Fail(ScanResult::kDamaged, reason);
}

StatusOr<ScanResult> RecordScanner::Next(ScannedRecord& record) {
  if (offset_ >= limit_) return ScanResult::kEnd;
  COPPICE_ASSIGN_OR_RETURN(std::string_view bytes, View(offset_, kRecordHeaderSize));
  if (AllZero(bytes)) return ClassifyZeros();
  if (bytes.size() < kRecordHeaderSize) {
    return Fail(ScanResult::kTorn, "the file ends inside a record's header");
  }
  if (DecodeRecordHeader(bytes, record.header) != RecordError::kOk) {
    return TornOrDamaged(bytes, "the header's checksum does not match");
  }
  const std::uint64_t size = kRecordHeaderSize + record.header.payload_size;
  COPPICE_ASSIGN_OR_RETURN(bytes, View(offset_, size));
  if (bytes.size() < size) return Fail(ScanResult::kTorn, "the file ends inside a record");
  if (Crc32c(0, bytes.substr(kRecordHeaderSize)) != record.header.payload_crc) {
    return TornOrDamaged(bytes, "the payload's checksum does not match");
  }
  record.bytes = bytes;
  record.offset = offset_;
  offset_ += size;
  return ScanResult::kRecord;
}

// Zeros in a header's place are the log's end, or a record of which the first sector was not
// written while a later one was.
StatusOr<ScanResult> RecordScanner::ClassifyZeros() {
  COPPICE_ASSIGN_OR_RETURN(const std::uint64_t zeros_from, ZerosFrom());
  if (zeros_from == offset_) return ScanResult::kEnd;
  COPPICE_ASSIGN_OR_RETURN(const std::string_view part,
                           View(offset_, SectorEnd(offset_) - offset_));
  return TornOrDamaged(part, "zeros where a record should begin, and data after them");
}

StatusOr<std::uint64_t> RecordScanner::ZerosFrom() {
  std::uint64_t zeros_from = offset_;
  std::string_view piece;
  for (std::uint64_t at = offset_; at < limit_; at += piece.size()) {
    COPPICE_ASSIGN_OR_RETURN(piece, View(at, chunk_bytes_));
    if (piece.empty()) break;
    if (AllZero(piece)) continue;
    std::size_t last = piece.size();
    while (piece[last - 1] == 0) --last;
    zeros_from = at + last;
  }
  return zeros_from;
}

}  // namespace coppice::wal
