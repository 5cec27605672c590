#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace coppice::fuzz {

// Reads what an HTTP/2 server sends as a strict client would, and aborts at what no server may send
// (RFC 9113) or no gRPC server (PROTOCOL-HTTP2.md): a frame out of place or too long, a header
// block that does not decode, fields in a wrong order, a stream that goes on after its end, a
// message that is cut, a call that ends without grpc-status.
class ReplyChecker {
 public:
  ReplyChecker();
  ~ReplyChecker();
  ReplyChecker(const ReplyChecker&) = delete;
  ReplyChecker& operator=(const ReplyChecker&) = delete;

  void Receive(std::string_view bytes);
  bool settings() const { return settings_; }  // the server's came

 private:
  struct Stream {
    bool headers = false;
    bool grpc = false;
    bool ended = false;
    bool reset = false;
    std::string data;  // a part of a message
  };
  struct Block {
    std::string status, content_type, grpc_status;
  };

  void OnFrame(std::uint8_t type, std::uint8_t flags, std::int32_t id, std::string_view payload);
  void OnHeaders(Stream& stream, bool end, std::string_view block);
  void OnData(Stream& stream, bool end, std::string_view payload);
  Block Inflate(std::string_view block);

  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string unread_;
  std::map<std::int32_t, Stream> streams_;
  bool settings_ = false;
  std::int32_t continued_ = 0;  // the stream whose header block goes on
  std::uint8_t continued_flags_ = 0;
  std::string block_;
};

}  // namespace coppice::fuzz
