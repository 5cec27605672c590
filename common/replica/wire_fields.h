#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/coding.h"

namespace coppice::replica {

// Calls number(field, u64) or bytes(field, view) for each field of a protobuf message; both return
// false to reject it. Fixed-width fields are skipped. False if rejected or malformed.
template <typename NumberFn, typename BytesFn>
bool ForEachField(std::string_view message, NumberFn&& number, BytesFn&& bytes) {
  WireReader reader(message);
  while (!reader.done()) {
    std::uint32_t field = 0;
    WireType type{};
    if (!reader.Tag(field, type)) return false;
    if (type == WireType::kVarint) {
      std::uint64_t value = 0;
      if (!reader.Varint(value) || !number(field, value)) return false;
    } else if (type == WireType::kBytes) {
      std::string_view value;
      if (!reader.Bytes(value) || !bytes(field, value)) return false;
    } else if (!reader.Skip(type)) {
      return false;
    }
  }
  return !reader.failed();
}

// A message of integers alone.
template <typename NumberFn>
bool ForEachNumber(std::string_view message, NumberFn&& number) {
  return ForEachField(message, number, [](std::uint32_t, std::string_view) { return true; });
}

}  // namespace coppice::replica
