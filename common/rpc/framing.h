#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/rpc/buffers.h"

// The parts of gRPC's wire that do not depend on HTTP/2:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
namespace coppice::rpc {

// A message on the wire: compressed flag u8, length u32 big-endian, bytes.
constexpr std::size_t kPrefixSize = 5;
void WritePrefix(char* out, std::uint32_t message_size);

// Cuts a stream's bytes into messages.
class MessageReader {
 public:
  enum class Result { kNeedMore, kMessage, kTooLarge, kCompressed };

  // Takes from the front of `data` what belongs to the current message. kMessage sets `message`,
  // which lives until Release; with `keep` it never points into `data`. After an error the reader
  // is not used again.
  Result Next(std::string_view& data, std::size_t size_max, bool keep, BufferPool& pool,
              std::string_view& message);
  void Release(BufferPool& pool);

  // Part of a message has arrived.
  bool partial() const { return have_ != 0 && !complete_; }
  bool complete() const { return complete_; }  // and not released
  std::size_t buffered() const { return body_.size(); }
  std::string_view body() const { return body_; }
  std::uint32_t message_size() const { return size_; }

 private:
  std::string body_;  // of a message that came in pieces, or is kept
  std::uint32_t size_ = 0;
  unsigned char prefix_[kPrefixSize] = {};
  std::uint8_t have_ = 0;  // bytes of the prefix
  bool complete_ = false;
};

// grpc-timeout: up to 8 digits and a unit (H M S m u n). Rounded up to a microsecond.
std::optional<Micros> ParseTimeout(std::string_view text);
std::string FormatTimeout(Micros timeout);

// grpc-message: bytes outside of printable ASCII, and '%', as %XX.
void AppendPercentEncoded(std::string& out, std::string_view text);
std::string PercentDecode(std::string_view text);

// What a reply without grpc-status means (http-grpc-status-mapping.md), and a reset stream.
Status StatusOfHttp(int http_status);
Status StatusOfReset(std::uint32_t http2_error);
// grpc-status as text; Unknown if it is no number of the list.
StatusCode ParseStatusCode(std::string_view text);

}  // namespace coppice::rpc
