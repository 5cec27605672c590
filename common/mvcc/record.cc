#include "common/mvcc/record.h"

#include <cstring>
#include <new>

#include "common/base/check.h"
#include "common/base/coding.h"

namespace coppice::mvcc {
namespace {

// mvccpb.KeyValue's field numbers.
constexpr std::uint32_t kKey = 1;
constexpr std::uint32_t kCreateRevision = 2;
constexpr std::uint32_t kModRevision = 3;
constexpr std::uint32_t kVersion = 4;
constexpr std::uint32_t kValue = 5;
constexpr std::uint32_t kLease = 6;

// Every tag is one byte.
std::size_t IntSize(std::int64_t value) {
  return value == 0 ? 0 : 1 + VarintSize(static_cast<std::uint64_t>(value));
}
std::size_t BytesSize(std::string_view value) {
  return value.empty() ? 0 : 1 + VarintSize(value.size()) + value.size();
}
char* WriteInt(char* p, std::uint32_t field, std::int64_t value) {
  if (value == 0) return p;
  *p++ = static_cast<char>(WireTag(field, WireType::kVarint));
  return WriteVarint(p, static_cast<std::uint64_t>(value));
}
char* WriteBytes(char* p, std::uint32_t field, std::string_view value) {
  if (value.empty()) return p;
  *p++ = static_cast<char>(WireTag(field, WireType::kBytes));
  p = WriteVarint(p, value.size());
  std::memcpy(p, value.data(), value.size());
  return p + value.size();
}

bool ReadIntField(WireReader& in, std::int64_t& value) {
  std::uint64_t bits = 0;
  if (!in.Varint(bits)) return false;
  value = static_cast<std::int64_t>(bits);
  return true;
}

bool ReadField(WireReader& in, std::uint32_t field, WireType type, Record::Fields& fields) {
  const bool bytes = field == kKey || field == kValue;
  if (type != (bytes ? WireType::kBytes : WireType::kVarint)) return false;
  switch (field) {
    case kKey:
      return in.Bytes(fields.key);
    case kCreateRevision:
      return ReadIntField(in, fields.create);
    case kModRevision:
      return ReadIntField(in, fields.id.main);
    case kVersion:
      return ReadIntField(in, fields.version);
    case kLease:
      return ReadIntField(in, fields.lease);
    case kValue:
      return in.Bytes(fields.value) && in.done();
    default:
      return false;
  }
}

}  // namespace

Record* Record::Allocate(const Fields& fields, std::size_t size) {
  auto* record = new (::operator new(sizeof(Record) + size)) Record(fields);
  record->size_ = static_cast<std::uint32_t>(size);
  return record;
}

void Record::Locate(const Fields& fields, std::size_t head_size) {
  head_size_ = static_cast<std::uint32_t>(head_size);
  key_size_ = static_cast<std::uint32_t>(fields.key.size());
  key_offset_ = fields.key.empty() ? 0 : 1 + static_cast<std::uint32_t>(VarintSize(key_size_));
  value_size_ = static_cast<std::uint32_t>(fields.value.size());
}

RecordPtr Record::Make(const Fields& fields) {
  const std::size_t head = BytesSize(fields.key) + IntSize(fields.create) +
                           IntSize(fields.id.main) + IntSize(fields.version) +
                           IntSize(fields.lease);
  Record* record = Allocate(fields, head + BytesSize(fields.value));
  record->Locate(fields, head);
  char* p = record->bytes();
  p = WriteBytes(p, kKey, fields.key);
  p = WriteInt(p, kCreateRevision, fields.create);
  p = WriteInt(p, kModRevision, fields.id.main);
  p = WriteInt(p, kVersion, fields.version);
  p = WriteInt(p, kLease, fields.lease);
  p = WriteBytes(p, kValue, fields.value);
  COPPICE_DCHECK(p == record->bytes() + record->size_);
  return RecordPtr::Adopt(record);
}

RecordPtr Record::MakeTombstone(std::string_view key, RowId id) {
  return Make({.key = key, .value = {}, .id = id});
}

RecordPtr Record::Parse(std::string_view encoded, RowId id, bool tombstone) {
  Fields fields;
  WireReader in(encoded);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    if (!in.Tag(field, type) || !ReadField(in, field, type, fields)) return nullptr;
  }
  if (fields.id.main != id.main || tombstone != (fields.version == 0)) return nullptr;
  fields.id.sub = id.sub;
  Record* record = Allocate(fields, encoded.size());
  record->Locate(fields, encoded.size() - BytesSize(fields.value));
  std::memcpy(record->bytes(), encoded.data(), encoded.size());
  return RecordPtr::Adopt(record);
}

void Record::Destroy() const {
  this->~Record();
  ::operator delete(const_cast<Record*>(this));
}

}  // namespace coppice::mvcc
