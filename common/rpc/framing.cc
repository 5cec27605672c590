#include "common/rpc/framing.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/base/coding.h"

namespace coppice::rpc {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void WritePrefix(char* out, std::uint32_t message_size) {
  out[0] = 0;
  SetLe(out + 1, __builtin_bswap32(message_size));
}

MessageReader::Result MessageReader::Next(std::string_view& data, std::size_t size_max, bool keep,
                                          BufferPool& pool, std::string_view& message) {
  if (have_ < kPrefixSize) {
    const std::size_t take = std::min(kPrefixSize - have_, data.size());
    std::memcpy(prefix_ + have_, data.data(), take);
    have_ = static_cast<std::uint8_t>(have_ + take);
    data.remove_prefix(take);
    if (have_ < kPrefixSize) return Result::kNeedMore;
    size_ = GetBe32(reinterpret_cast<const char*>(prefix_) + 1);
    if (prefix_[0] != 0) return Result::kCompressed;
    if (size_ > size_max) return Result::kTooLarge;
  }
  if (body_.empty() && data.size() >= size_ && !keep) {
    message = data.substr(0, size_);
    data.remove_prefix(size_);
    complete_ = true;
    return Result::kMessage;
  }
  const std::size_t take = std::min(size_ - body_.size(), data.size());
  if (take > 0) {
    if (body_.empty()) body_ = pool.Take();
    body_.append(data.substr(0, take));
    data.remove_prefix(take);
  }
  if (body_.size() < size_) return Result::kNeedMore;
  message = body_;
  complete_ = true;
  return Result::kMessage;
}

void MessageReader::Release(BufferPool& pool) {
  if (!body_.empty()) pool.Give(std::move(body_));
  body_ = std::string();
  have_ = 0;
  complete_ = false;
}

std::optional<Micros> ParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  switch (text.back()) {
    case 'H':
      return value * 3600 * kSecond;
    case 'M':
      return value * 60 * kSecond;
    case 'S':
      return value * kSecond;
    case 'm':
      return value * kMillisecond;
    case 'u':
      return value;
    case 'n':
      return (value + 999) / 1000;
    default:
      return std::nullopt;
  }
}

std::string FormatTimeout(Micros timeout) {
  constexpr Micros kValueMax = 99'999'999;
  if (timeout < 0) timeout = 0;
  if (timeout <= kValueMax) return std::to_string(timeout) + "u";
  const Micros millis = (timeout + kMillisecond - 1) / kMillisecond;
  if (millis <= kValueMax) return std::to_string(millis) + "m";
  const Micros seconds = (timeout + kSecond - 1) / kSecond;
  return std::to_string(std::min(seconds, kValueMax)) + "S";
}

void AppendPercentEncoded(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

Status StatusOfHttp(int http_status) {
  StatusCode code = StatusCode::kUnknown;
  if (http_status == 400) code = StatusCode::kInternal;
  if (http_status == 401) code = StatusCode::kUnauthenticated;
  if (http_status == 403) code = StatusCode::kPermissionDenied;
  if (http_status == 404) code = StatusCode::kUnimplemented;
  if (http_status == 429 || (http_status >= 502 && http_status <= 504)) {
    code = StatusCode::kUnavailable;
  }
  return MakeStatus(code, "the server answered with HTTP status " + std::to_string(http_status));
}

Status StatusOfReset(std::uint32_t http2_error) {
  StatusCode code = StatusCode::kInternal;
  switch (http2_error) {
    case NGHTTP2_REFUSED_STREAM:
      code = StatusCode::kUnavailable;
      break;
    case NGHTTP2_CANCEL:
      code = StatusCode::kCancelled;
      break;
    case NGHTTP2_ENHANCE_YOUR_CALM:
      code = StatusCode::kResourceExhausted;
      break;
    case NGHTTP2_INADEQUATE_SECURITY:
      code = StatusCode::kPermissionDenied;
      break;
    default:
      break;
  }
  return MakeStatus(code, std::string("stream reset: ") + nghttp2_http2_strerror(http2_error));
}

StatusCode ParseStatusCode(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > 16) {
    return StatusCode::kUnknown;
  }
  return static_cast<StatusCode>(value);
}

}  // namespace coppice::rpc
