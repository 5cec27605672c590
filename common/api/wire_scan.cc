#include "common/api/wire_scan.h"

namespace coppice::api {

bool FieldScanner::ReadLongTag(std::uint32_t& tag) {
  tag = 0;
  for (int i = 0; i < 5; ++i) {
    if (p_ == end_) return Fail();
    const auto byte = static_cast<unsigned char>(*p_++);
    tag |= static_cast<std::uint32_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return tag >> 3 != 0 || Fail();
  }
  return Fail();
}

bool FieldScanner::ReadLongNumber() {
  number_ = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (p_ == end_) return Fail();
    const auto byte = static_cast<unsigned char>(*p_++);
    number_ |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return Fail();
}

bool FieldScanner::ReadLongSize(std::uint32_t& size) {
  size = 0;
  for (int i = 0; i < 5; ++i) {
    if (p_ == end_) return Fail();
    const auto byte = static_cast<unsigned char>(*p_++);
    if (i == 4 && byte >= 8) return Fail();  // 2 GiB and more
    size |= static_cast<std::uint32_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return true;
  }
  return Fail();
}

bool FieldScanner::SkipFixed(std::size_t size) {
  if (size > static_cast<std::size_t>(end_ - p_)) return Fail();
  p_ += size;
  return true;
}

bool FieldScanner::SkipRest(std::uint32_t tag, int depth) {
  switch (tag & 7) {
    case 0:
      return ReadNumber();
    case 1:
      return SkipFixed(8);
    case 2:
      return ReadBytes();
    case 5:
      return SkipFixed(4);
    case kGroupStart:
      break;
    default:
      return Fail();  // the end of a group that was not begun, or a type there is not
  }
  if (depth == 0) return Fail();
  std::uint32_t inner = 0;
  while (p_ != end_ && ReadTag(inner)) {
    if ((inner & 7) == kGroupEnd) return inner == tag + 1 || Fail();
    if (!SkipRest(inner, depth - 1)) return false;
  }
  return Fail();
}

}  // namespace coppice::api
