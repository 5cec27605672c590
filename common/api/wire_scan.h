#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/coding.h"

namespace coppice::api {

// Walks one message's top-level fields as libprotobuf reads them, so that a scanner by hand accepts
// and refuses the same bytes: unknown fields and groups are skipped, a tag or a length has at most
// five bytes, groups nest at most 100 deep. (coding.h's WireReader is stricter: it is for our own
// messages.) The views point into the input; nothing is allocated.
//
//   FieldScanner fields(bytes);
//   while (fields.Next()) {
//     switch (fields.tag()) { case WireTag(1, WireType::kBytes): key = fields.bytes(); ... }
//   }
//   if (fields.failed()) ...
class FieldScanner {
 public:
  // How deep libprotobuf lets groups and messages nest.
  static constexpr int kDepthMax = 100;

  // `depth`: how deep groups may nest here; a message inside another is one deeper than that one.
  explicit FieldScanner(std::string_view data, int depth = kDepthMax)
      : p_(data.data()), end_(p_ + data.size()), depth_(depth) {}

  // Reads the next field whole. False at the end, and at malformed bytes.
  bool Next() {
    if (p_ == end_) return false;
    return ReadTag(tag_) && ReadValue();
  }
  [[nodiscard]] bool failed() const { return failed_; }

  // Field number and wire type as in WireTag: a known field in another wire type is an unknown one.
  [[nodiscard]] std::uint32_t tag() const { return tag_; }
  [[nodiscard]] std::uint64_t number() const { return number_; }   // of a varint
  [[nodiscard]] std::string_view bytes() const { return bytes_; }  // of a length-delimited field

 private:
  static constexpr std::uint32_t kGroupStart = 3;
  static constexpr std::uint32_t kGroupEnd = 4;

  bool Fail() {
    failed_ = true;
    p_ = end_;
    return false;
  }
  bool ReadTag(std::uint32_t& tag) {
    if (p_ != end_ && static_cast<unsigned char>(*p_) < 0x80) [[likely]] {
      tag = static_cast<unsigned char>(*p_++);
      return tag >> 3 != 0 || Fail();
    }
    return ReadLongTag(tag);
  }
  bool ReadValue() {
    switch (tag_ & 7) {
      case 0:
        return ReadNumber();
      case 2:
        return ReadBytes();
      default:
        return SkipRest(tag_, depth_);
    }
  }
  bool ReadNumber() {
    if (p_ != end_ && static_cast<unsigned char>(*p_) < 0x80) [[likely]] {
      number_ = static_cast<unsigned char>(*p_++);
      return true;
    }
    return ReadLongNumber();
  }
  bool ReadBytes() {
    std::uint32_t size = 0;
    if (p_ != end_ && static_cast<unsigned char>(*p_) < 0x80) [[likely]] {
      size = static_cast<unsigned char>(*p_++);
    } else if (!ReadLongSize(size)) {
      return false;
    }
    if (size > static_cast<std::size_t>(end_ - p_)) return Fail();
    bytes_ = {p_, size};
    p_ += size;
    return true;
  }
  bool ReadLongTag(std::uint32_t& tag);
  bool ReadLongNumber();
  bool ReadLongSize(std::uint32_t& size);
  bool SkipFixed(std::size_t size);
  bool SkipRest(std::uint32_t tag, int depth);  // fixed-width values and groups

  const char* p_;
  const char* end_;
  int depth_;
  std::uint32_t tag_ = 0;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
  bool failed_ = false;
};

}  // namespace coppice::api
