#include "common/mvcc/key_range.h"

namespace coppice::mvcc {

KeyRange KeyRange::FromWire(std::string_view key, std::string_view range_end) {
  KeyRange range;
  range.begin = key;
  if (range_end.empty()) {
    range.end.reserve(key.size() + 1);
    range.end.append(key).push_back('\0');
  } else if (range_end == std::string_view("\0", 1)) {
    range.unbounded = true;
  } else {
    range.end = range_end;
  }
  return range;
}

}  // namespace coppice::mvcc
