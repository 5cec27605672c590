#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coppice::rpc {

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct RawFrame {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::int32_t stream_id = 0;
  std::string payload;
};

// A blocking socket that says whatever a test wants, HTTP/2 or not. Reads wait 10 s at most.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // False if the connection is closed, or took nothing for a second.
  bool Send(std::string_view bytes);
  // Sends the preface and an empty SETTINGS.
  void Handshake();
  bool SendFrame(std::uint8_t type, std::uint8_t flags, std::int32_t stream_id,
                 std::string_view payload);
  // HEADERS of a gRPC call; `extra` goes last.
  bool SendRequest(std::int32_t stream_id, std::string_view path, bool end_stream,
                   const std::vector<std::pair<std::string, std::string>>& extra = {});
  // A header block with exactly these fields.
  std::string Block(const std::vector<std::pair<std::string, std::string>>& fields);
  bool SendMessage(std::int32_t stream_id, std::string_view message, bool end_stream);

  std::optional<RawFrame> ReadFrame();  // nullopt: closed
  // The next frame of this type; others are skipped.
  std::optional<RawFrame> Await(std::uint8_t type);
  // Reads until the stream is ended or reset: all its fields, "rst" with the error code, "data".
  std::map<std::string, std::string> AwaitAnswer(std::int32_t stream_id);
  // A unary call on this connection is answered: nothing has broken it.
  bool Alive();
  // The error code of the GOAWAY that comes, -1 if the connection is closed without one.
  int AwaitGoAway();
  bool AwaitClosed();
  std::string ReadSome();  // what comes next, whatever it is; empty if closed
  // Closes so that the server sees a reset.
  void Abort();

 private:
  bool Fill(std::size_t size);
  void Inflate(const std::string& block, std::map<std::string, std::string>& fields);

  int fd_ = -1;
  std::string unread_;
  std::int32_t last_stream_ = 1001;
  nghttp2_hd_deflater* deflater_ = nullptr;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace coppice::rpc
