#include "common/rpc/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/rpc/framing.h"

namespace coppice::rpc {
namespace {

constexpr std::size_t kFrameHeader = 9;

}  // namespace

RawClient::RawClient(std::uint16_t port) {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  COPPICE_CHECK(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  const timeval patience{10, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const timeval write_patience{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &write_patience, sizeof(write_patience));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  COPPICE_CHECK(nghttp2_hd_deflate_new(&deflater_, 4096) == 0);
  COPPICE_CHECK(nghttp2_hd_inflate_new(&inflater_) == 0);
}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
  nghttp2_hd_deflate_del(deflater_);
  nghttp2_hd_inflate_del(inflater_);
}

void RawClient::Abort() {
  const linger hard{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  ::close(fd_);
  fd_ = -1;
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void RawClient::Handshake() {
  Send(kPreface);
  SendFrame(NGHTTP2_SETTINGS, 0, 0, "");
}

bool RawClient::SendFrame(std::uint8_t type, std::uint8_t flags, std::int32_t stream_id,
                          std::string_view payload) {
  std::string frame(kFrameHeader, '\0');
  frame[0] = static_cast<char>(payload.size() >> 16);
  frame[1] = static_cast<char>(payload.size() >> 8);
  frame[2] = static_cast<char>(payload.size());
  frame[3] = static_cast<char>(type);
  frame[4] = static_cast<char>(flags);
  for (int i = 0; i < 4; ++i) {
    frame[static_cast<std::size_t>(5 + i)] = static_cast<char>(stream_id >> (24 - 8 * i));
  }
  return Send(frame.append(payload));
}

std::string RawClient::Block(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::vector<nghttp2_nv> list;
  for (const auto& [name, value] : fields) {
    list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                    value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  std::string block(nghttp2_hd_deflate_bound(deflater_, list.data(), list.size()), '\0');
  const ssize_t size =
      nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<std::uint8_t*>(block.data()), block.size(),
                            list.data(), list.size());
  block.resize(static_cast<std::size_t>(size));
  return block;
}

bool RawClient::SendRequest(std::int32_t stream_id, std::string_view path, bool end_stream,
                            const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<std::pair<std::string, std::string>> fields = {{":method", "POST"},
                                                             {":scheme", "http"},
                                                             {":path", std::string(path)},
                                                             {":authority", "test"},
                                                             {"content-type", "application/grpc"},
                                                             {"te", "trailers"}};
  for (const auto& field : extra) fields.push_back(field);
  const int flags = NGHTTP2_FLAG_END_HEADERS | (end_stream ? NGHTTP2_FLAG_END_STREAM : 0);
  return SendFrame(NGHTTP2_HEADERS, static_cast<std::uint8_t>(flags), stream_id, Block(fields));
}

bool RawClient::SendMessage(std::int32_t stream_id, std::string_view message, bool end_stream) {
  std::string framed(kPrefixSize, '\0');
  WritePrefix(framed.data(), static_cast<std::uint32_t>(message.size()));
  return SendFrame(NGHTTP2_DATA, end_stream ? NGHTTP2_FLAG_END_STREAM : 0, stream_id,
                   framed.append(message));
}

bool RawClient::Fill(std::size_t size) {
  while (unread_.size() < size) {
    const std::string more = ReadSome();
    if (more.empty()) return false;
    unread_.append(more);
  }
  return true;
}

std::string RawClient::ReadSome() {
  char buffer[65536];
  const ssize_t size = ::recv(fd_, buffer, sizeof(buffer), 0);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

std::optional<RawFrame> RawClient::ReadFrame() {
  if (!Fill(kFrameHeader)) return std::nullopt;
  const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(unread_[i]); };
  const std::size_t size =
      static_cast<std::size_t>(byte(0)) << 16 | static_cast<std::size_t>(byte(1)) << 8 | byte(2);
  if (!Fill(kFrameHeader + size)) return std::nullopt;
  RawFrame frame;
  frame.type = byte(3);
  frame.flags = byte(4);
  frame.stream_id = (byte(5) & 0x7f) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
  frame.payload = unread_.substr(kFrameHeader, size);
  unread_.erase(0, kFrameHeader + size);
  return frame;
}

std::optional<RawFrame> RawClient::Await(std::uint8_t type) {
  std::optional<RawFrame> frame;
  while ((frame = ReadFrame()).has_value()) {
    if (frame->type == type) return frame;
  }
  return std::nullopt;
}

void RawClient::Inflate(const std::string& block, std::map<std::string, std::string>& fields) {
  auto* in = reinterpret_cast<const std::uint8_t*>(block.data());
  std::size_t left = block.size();
  while (true) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, 1);
    COPPICE_CHECK(used >= 0);
    in += used;
    left -= static_cast<std::size_t>(used);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      fields[std::string(reinterpret_cast<char*>(field.name), field.namelen)] =
          std::string(reinterpret_cast<char*>(field.value), field.valuelen);
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
      nghttp2_hd_inflate_end_headers(inflater_);
      return;
    }
  }
}

std::map<std::string, std::string> RawClient::AwaitAnswer(std::int32_t stream_id) {
  std::map<std::string, std::string> fields;
  while (const auto frame = ReadFrame()) {
    // Every block is decoded: the table is the connection's.
    if (frame->type == NGHTTP2_HEADERS) {
      std::map<std::string, std::string> decoded;
      Inflate(frame->payload, decoded);
      if (frame->stream_id == stream_id) fields.merge(decoded);
    }
    if (frame->stream_id != stream_id) continue;
    if (frame->type == NGHTTP2_DATA) fields["data"] += frame->payload;
    if (frame->type == NGHTTP2_RST_STREAM) {
      fields["rst"] = std::to_string(frame->payload[3]);
      return fields;
    }
    const bool carries = frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA;
    if (carries && (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0) return fields;
  }
  fields["closed"] = "";
  return fields;
}

bool RawClient::Alive() {
  last_stream_ += 2;
  SendRequest(last_stream_, "/test.Echo/Unary", false);
  SendMessage(last_stream_, "alive", true);
  auto answer = AwaitAnswer(last_stream_);
  return answer["grpc-status"] == "0";
}

int RawClient::AwaitGoAway() {
  const auto frame = Await(NGHTTP2_GOAWAY);
  return frame.has_value() ? frame->payload[7] : -1;
}

bool RawClient::AwaitClosed() {
  while (ReadFrame().has_value()) continue;
  return true;
}

}  // namespace coppice::rpc
