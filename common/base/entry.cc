#include "common/base/entry.h"

#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/base/crc32c.h"

namespace coppice {

void EncodeRecordHeader(const RecordHeader& header, char* out) {
  SetLe<std::uint32_t>(out, header.payload_size);
  SetLe<std::uint32_t>(out + 4, header.payload_crc);
  SetLe<std::uint64_t>(out + 8, header.term.value());
  SetLe<std::uint64_t>(out + 16, header.index.value());
  SetLe<std::uint8_t>(out + 24, static_cast<std::uint8_t>(header.kind));
  SetLe<std::uint8_t>(out + 25, header.version);
  SetLe<std::uint16_t>(out + 26, header.flags);
  SetLe<std::uint32_t>(out + 28, Crc32c(0, {out, 28}));
}

RecordError DecodeRecordHeader(std::string_view data, RecordHeader& header) {
  if (data.size() < kRecordHeaderSize) return RecordError::kShort;
  const char* p = data.data();
  if (GetLe<std::uint32_t>(p + 28) != Crc32c(0, {p, 28})) return RecordError::kBadHeader;
  header.payload_size = GetLe<std::uint32_t>(p);
  header.payload_crc = GetLe<std::uint32_t>(p + 4);
  header.term = Term(GetLe<std::uint64_t>(p + 8));
  header.index = Index(GetLe<std::uint64_t>(p + 16));
  header.kind = static_cast<RecordKind>(p[24]);
  header.version = static_cast<std::uint8_t>(p[25]);
  header.flags = GetLe<std::uint16_t>(p + 26);
  return header.payload_size > kRecordPayloadMax ? RecordError::kBadHeader : RecordError::kOk;
}

std::uint32_t Entry::PayloadCrc(std::string_view payload) {
  return Crc32c(0, payload);
}

EntryPtr Entry::Make(Term term, Index index, RecordKind kind, std::string_view payload) {
  return Make(term, index, kind, payload, PayloadCrc(payload));
}

EntryPtr Entry::Make(Term term, Index index, RecordKind kind, std::string_view payload,
                     std::uint32_t payload_crc) {
  COPPICE_CHECK(payload.size() <= kRecordPayloadMax);
  RecordHeader header;
  header.payload_size = static_cast<std::uint32_t>(payload.size());
  header.payload_crc = payload_crc;
  header.term = term;
  header.index = index;
  header.kind = kind;
  std::string bytes;
  bytes.reserve(kRecordHeaderSize + payload.size());
  bytes.resize(kRecordHeaderSize);
  EncodeRecordHeader(header, bytes.data());
  bytes.append(payload);
  return std::make_shared<const Entry>(header, std::move(bytes));
}

RecordError Entry::Read(std::string_view& data, EntryPtr& entry) {
  RecordHeader header;
  if (const RecordError error = DecodeRecordHeader(data, header); error != RecordError::kOk) {
    return error;
  }
  const std::size_t size = kRecordHeaderSize + header.payload_size;
  if (data.size() < size) return RecordError::kShort;
  const std::string_view record = data.substr(0, size);
  if (Crc32c(0, record.substr(kRecordHeaderSize)) != header.payload_crc) {
    return RecordError::kBadPayload;
  }
  entry = std::make_shared<const Entry>(header, std::string(record));
  data.remove_prefix(size);
  return RecordError::kOk;
}

}  // namespace coppice
