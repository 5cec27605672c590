#include "common/base/coding.h"

namespace coppice {

char* WriteVarint(char* p, std::uint64_t value) {
  while (value >= 0x80) {
    *p++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *p++ = static_cast<char>(value);
  return p;
}

void PutVarint(std::string& out, std::uint64_t value) {
  char buffer[kVarintSizeMax];
  out.append(buffer, static_cast<std::size_t>(WriteVarint(buffer, value) - buffer));
}

void PutIntField(std::string& out, std::uint32_t field, std::uint64_t value) {
  if (value == 0) return;
  PutVarint(out, WireTag(field, WireType::kVarint));
  PutVarint(out, value);
}

void PutBytesField(std::string& out, std::uint32_t field, std::string_view value) {
  if (value.empty()) return;
  PutVarint(out, WireTag(field, WireType::kBytes));
  PutVarint(out, value.size());
  out.append(value);
}

bool WireReader::Varint(std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (p_ == end_) return Fail();
    const auto byte = static_cast<unsigned char>(*p_++);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return Fail();
}

bool WireReader::Tag(std::uint32_t& field, WireType& type) {
  std::uint64_t tag = 0;
  if (!Varint(tag)) return false;
  const auto wire = static_cast<std::uint8_t>(tag & 7);
  if (tag >> 3 == 0 || tag >> 32 != 0 || (wire != 0 && wire != 1 && wire != 2 && wire != 5)) {
    return Fail();
  }
  field = static_cast<std::uint32_t>(tag >> 3);
  type = static_cast<WireType>(wire);
  return true;
}

bool WireReader::Raw(std::size_t size, std::string_view& value) {
  if (size > left()) return Fail();
  value = {p_, size};
  p_ += size;
  return true;
}

bool WireReader::Bytes(std::string_view& value) {
  std::uint64_t size = 0;
  return Varint(size) && Raw(size, value);
}

bool WireReader::Skip(WireType type) {
  std::uint64_t number = 0;
  std::string_view bytes;
  switch (type) {
    case WireType::kVarint:
      return Varint(number);
    case WireType::kFixed64:
      return Raw(8, bytes);
    case WireType::kBytes:
      return Bytes(bytes);
    case WireType::kFixed32:
      return Raw(4, bytes);
  }
  return Fail();
}

}  // namespace coppice
