#include "common/wal/format.h"

#include <fmt/format.h>

#include <charconv>

#include "common/base/coding.h"
#include "common/base/crc32c.h"

namespace coppice::wal {
namespace {

constexpr std::size_t kSegmentHeaderPayload = 40;
constexpr std::size_t kHardStatePayload = 8;
constexpr std::size_t kHexDigits = 16;

void AppendRecord(RecordKind kind, Term term, Index index, std::string_view payload,
                  std::string& out) {
  RecordHeader header;
  header.payload_size = static_cast<std::uint32_t>(payload.size());
  header.payload_crc = Crc32c(0, payload);
  header.term = term;
  header.index = index;
  header.kind = kind;
  header.version = kFormatVersion;
  char bytes[kRecordHeaderSize];
  EncodeRecordHeader(header, bytes);
  out.append(bytes, sizeof(bytes)).append(payload);
}

bool ParseHex(std::string_view digits, std::uint64_t& value) {
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  return error == std::errc() && stop == end;
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string payload;
  PutLe(payload, header.cluster_id);
  PutLe(payload, header.node_id);
  PutLe(payload, header.sequence);
  PutLe(payload, header.previous_end);
  PutLe(payload, header.previous_crc);
  PutLe<std::uint32_t>(payload, 0);
  std::string out;
  AppendRecord(RecordKind::kSegmentHeader, Term(), header.next_index, payload, out);
  return out;
}

bool DecodeSegmentHeader(const RecordHeader& record, std::string_view payload,
                         SegmentHeader& header) {
  if (payload.size() != kSegmentHeaderPayload) return false;
  const char* p = payload.data();
  header.cluster_id = GetLe<std::uint64_t>(p);
  header.node_id = GetLe<std::uint64_t>(p + 8);
  header.sequence = GetLe<std::uint64_t>(p + 16);
  header.previous_end = GetLe<std::uint64_t>(p + 24);
  header.previous_crc = GetLe<std::uint32_t>(p + 32);
  header.next_index = record.index;
  return true;
}

void AppendHardState(const HardState& hard_state, std::string& out) {
  std::string payload;
  PutLe(payload, hard_state.vote.value());
  AppendRecord(RecordKind::kHardState, hard_state.term, hard_state.commit, payload, out);
}

bool DecodeHardState(const RecordHeader& record, std::string_view payload, HardState& hard_state) {
  if (payload.size() != kHardStatePayload) return false;
  hard_state.term = record.term;
  hard_state.commit = record.index;
  hard_state.vote = NodeId(GetLe<std::uint64_t>(payload.data()));
  return true;
}

std::uint32_t HeaderCrcOf(std::string_view record) {
  return GetLe<std::uint32_t>(record.data() + 28);
}

std::string SegmentFileName(std::uint64_t sequence, Index next_index) {
  return fmt::format("{:016x}-{:016x}{}", sequence, next_index.value(), kSegmentSuffix);
}

bool ParseSegmentFileName(std::string_view name, std::uint64_t& sequence, Index& next_index) {
  if (name.size() != 2 * kHexDigits + 1 + kSegmentSuffix.size()) return false;
  std::uint64_t index = 0;
  if (!name.ends_with(kSegmentSuffix) || name[kHexDigits] != '-' ||
      !ParseHex(name.substr(0, kHexDigits), sequence) ||
      !ParseHex(name.substr(kHexDigits + 1, kHexDigits), index)) {
    return false;
  }
  next_index = Index(index);
  return true;
}

}  // namespace coppice::wal
