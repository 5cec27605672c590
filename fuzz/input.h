#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "common/base/coding.h"

namespace coppice::fuzz {

// Takes an input apart from its front, so that small changes of it are small changes of what is
// done. What is asked for beyond its end is zero, or empty.
class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }
  std::uint8_t Byte() { return Number<std::uint8_t>(); }
  bool Flag() { return (Byte() & 1) != 0; }
  std::size_t Below(std::size_t bound) { return Number<std::uint16_t>() % bound; }
  template <typename Int>
  Int Number() {
    char raw[sizeof(Int)] = {};
    const std::string_view bytes = Bytes(sizeof(Int));
    std::copy(bytes.begin(), bytes.end(), raw);
    return GetLe<Int>(raw);
  }
  std::string_view Bytes(std::size_t size) {
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  // A length of two bytes in front.
  std::string_view Chunk() { return Bytes(Number<std::uint16_t>()); }
  std::string_view Rest() { return Bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// How a seed says what Chunk reads.
inline void PutChunk(std::string& out, std::string_view bytes) {
  PutLe(out, static_cast<std::uint16_t>(bytes.size()));
  out.append(bytes);
}

}  // namespace coppice::fuzz
