#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace coppice {

static_assert(std::endian::native == std::endian::little, "wire and disk formats are copied as is");

// --- Fixed-width integers. Little-endian on the wires and in the WAL; big-endian in store keys,
// so that byte order is numeric order.

template <typename Int>
void PutLe(std::string& out, Int value) {
  char buffer[sizeof(Int)];
  std::memcpy(buffer, &value, sizeof(Int));
  out.append(buffer, sizeof(Int));
}
template <typename Int>
Int GetLe(const char* p) {
  Int value;
  std::memcpy(&value, p, sizeof(Int));
  return value;
}
template <typename Int>
void SetLe(char* p, Int value) {
  std::memcpy(p, &value, sizeof(Int));
}
inline void PutBe64(std::string& out, std::uint64_t value) {
  PutLe(out, __builtin_bswap64(value));
}
inline void PutBe32(std::string& out, std::uint32_t value) {
  PutLe(out, __builtin_bswap32(value));
}
inline std::uint64_t GetBe64(const char* p) {
  return __builtin_bswap64(GetLe<std::uint64_t>(p));
}
inline std::uint32_t GetBe32(const char* p) {
  return __builtin_bswap32(GetLe<std::uint32_t>(p));
}

// --- Protobuf's wire format (varints, tags, length-delimited fields), for messages that are
// written or scanned by hand: https://protobuf.dev/programming-guides/encoding/

constexpr int kVarintSizeMax = 10;

inline int VarintSize(std::uint64_t value) {
  return (std::bit_width(value | 1) + 6) / 7;
}
// Writes `value` at `p`, which has room for kVarintSizeMax bytes; returns the end.
char* WriteVarint(char* p, std::uint64_t value);
void PutVarint(std::string& out, std::uint64_t value);

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
constexpr std::uint32_t WireTag(std::uint32_t field, WireType type) {
  return field << 3 | static_cast<std::uint32_t>(type);
}
// Fields whose value is the default are left out, as proto3 does.
void PutIntField(std::string& out, std::uint32_t field, std::uint64_t value);
void PutBytesField(std::string& out, std::uint32_t field, std::string_view value);

// Reads one message's bytes front to back. Every method returns false at malformed input, and the
// reader stays failed. The views point into the input.
class WireReader {
 public:
  explicit WireReader(std::string_view data) : p_(data.data()), end_(p_ + data.size()) {}

  [[nodiscard]] bool done() const { return p_ == end_; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - p_); }

  bool Tag(std::uint32_t& field, WireType& type);
  bool Varint(std::uint64_t& value);
  bool Bytes(std::string_view& value);  // varint length, then that many bytes
  bool Raw(std::size_t size, std::string_view& value);
  bool Skip(WireType type);  // the value of a field that is not wanted
  template <typename Int>
  bool Fixed(Int& value) {
    std::string_view raw;
    if (!Raw(sizeof(Int), raw)) return false;
    value = GetLe<Int>(raw.data());
    return true;
  }

 private:
  bool Fail() {
    failed_ = true;
    p_ = end_;
    return false;
  }

  const char* p_;
  const char* end_;
  bool failed_ = false;
};

}  // namespace coppice
