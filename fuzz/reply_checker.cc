#include "fuzz/reply_checker.h"

#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/rpc/framing.h"

namespace coppice::fuzz {
namespace {

constexpr std::size_t kFrameHeader = 9;
constexpr std::size_t kFrameMax = 16384;  // until a client says otherwise; nghttp2 never sends more

}  // namespace

ReplyChecker::ReplyChecker() {
  COPPICE_CHECK(nghttp2_hd_inflate_new(&inflater_) == 0);
}

ReplyChecker::~ReplyChecker() {
  nghttp2_hd_inflate_del(inflater_);
}

void ReplyChecker::Receive(std::string_view bytes) {
  unread_.append(bytes);
  std::string_view rest = unread_;
  while (rest.size() >= kFrameHeader) {
    const std::size_t size = GetBe32(rest.data()) >> 8;
    COPPICE_CHECK(size <= kFrameMax);
    if (rest.size() < kFrameHeader + size) break;
    const auto id = static_cast<std::int32_t>(GetBe32(rest.data() + 5));
    COPPICE_CHECK(id >= 0);
    OnFrame(static_cast<std::uint8_t>(rest[3]), static_cast<std::uint8_t>(rest[4]), id,
            rest.substr(kFrameHeader, size));
    rest.remove_prefix(kFrameHeader + size);
  }
  unread_.erase(0, unread_.size() - rest.size());
}

void ReplyChecker::OnFrame(std::uint8_t type, std::uint8_t flags, std::int32_t id,
                           std::string_view payload) {
  const bool connection_wide =
      type == NGHTTP2_SETTINGS || type == NGHTTP2_PING || type == NGHTTP2_GOAWAY;
  COPPICE_CHECK(settings_ || type == NGHTTP2_SETTINGS || type == NGHTTP2_GOAWAY,
                "a server begins with SETTINGS");
  COPPICE_CHECK(continued_ == 0 || (type == NGHTTP2_CONTINUATION && id == continued_));
  COPPICE_CHECK(!connection_wide || id == 0);
  COPPICE_CHECK(connection_wide || type == NGHTTP2_WINDOW_UPDATE || id % 2 == 1,
                "every stream is a client's");
  const bool end = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (type) {
    case NGHTTP2_SETTINGS:
      settings_ = true;
      return;
    case NGHTTP2_PING:
      COPPICE_CHECK(payload.size() == 8);
      return;
    case NGHTTP2_GOAWAY:
      COPPICE_CHECK(payload.size() >= 8);
      return;
    case NGHTTP2_WINDOW_UPDATE:
      COPPICE_CHECK(payload.size() == 4 && GetBe32(payload.data()) != 0);
      return;
    case NGHTTP2_RST_STREAM:
      COPPICE_CHECK(payload.size() == 4);
      streams_[id].reset = true;
      return;
    case NGHTTP2_DATA:
      return OnData(streams_[id], end, payload);
    case NGHTTP2_HEADERS:
      COPPICE_CHECK((flags & (NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY)) == 0);
      block_.assign(payload);
      continued_flags_ = flags;
      break;
    case NGHTTP2_CONTINUATION:
      COPPICE_CHECK(continued_ == id);
      block_.append(payload);
      break;
    default:
      COPPICE_CHECK(false, "no other frame is a server's of ours");
  }
  continued_ = (flags & NGHTTP2_FLAG_END_HEADERS) == 0 ? id : 0;
  if (continued_ != 0) return;
  OnHeaders(streams_[id], (continued_flags_ & NGHTTP2_FLAG_END_STREAM) != 0, block_);
}

void ReplyChecker::OnHeaders(Stream& stream, bool end, std::string_view block) {
  COPPICE_CHECK(!stream.ended && !stream.reset);
  const Block fields = Inflate(block);
  if (!stream.headers) {
    COPPICE_CHECK(fields.status.size() == 3);
    stream.headers = true;
    stream.grpc = fields.content_type == "application/grpc";
    COPPICE_CHECK(stream.grpc || end, "an answer that is not gRPC's has no body");
    COPPICE_CHECK(stream.grpc == (fields.status == "200"));
  } else {
    COPPICE_CHECK(end && fields.status.empty(), "trailers come last");
    COPPICE_CHECK(fields.grpc_status != "0" || stream.data.empty(), "no message is cut");
  }
  stream.ended = end;
  if (!end || !stream.grpc) return;
  COPPICE_CHECK(!fields.grpc_status.empty(), "a call ends with grpc-status");
  COPPICE_CHECK(fields.grpc_status == "2" ||
                rpc::ParseStatusCode(fields.grpc_status) != StatusCode::kUnknown);
}

void ReplyChecker::OnData(Stream& stream, bool end, std::string_view payload) {
  COPPICE_CHECK(stream.headers && stream.grpc && !stream.ended && !stream.reset && !end);
  stream.data.append(payload);
  std::string_view rest = stream.data;
  while (rest.size() >= rpc::kPrefixSize) {
    COPPICE_CHECK(rest[0] == 0, "we do not compress");
    const std::size_t size = rpc::kPrefixSize + GetBe32(rest.data() + 1);
    if (rest.size() < size) break;
    rest.remove_prefix(size);
  }
  stream.data.erase(0, stream.data.size() - rest.size());
}

ReplyChecker::Block ReplyChecker::Inflate(std::string_view block) {
  Block fields;
  bool regular = false;
  while (true) {
    nghttp2_nv nv{};
    int flags = 0;
    const ssize_t taken = nghttp2_hd_inflate_hd2(
        inflater_, &nv, &flags, reinterpret_cast<const std::uint8_t*>(block.data()), block.size(),
        1);
    COPPICE_CHECK(taken >= 0, "a header block decodes");
    block.remove_prefix(static_cast<std::size_t>(taken));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      const std::string_view name(reinterpret_cast<const char*>(nv.name), nv.namelen);
      const std::string_view value(reinterpret_cast<const char*>(nv.value), nv.valuelen);
      COPPICE_CHECK(nghttp2_check_header_name(nv.name, nv.namelen) != 0 || name == ":status");
      COPPICE_CHECK(nghttp2_check_header_value(nv.value, nv.valuelen) != 0);
      COPPICE_CHECK(!name.starts_with(':') || !regular, "pseudo fields come first");
      regular = regular || !name.starts_with(':');
      if (name == ":status") fields.status = value;
      if (name == "content-type") fields.content_type = value;
      if (name == "grpc-status") fields.grpc_status = value;
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    COPPICE_CHECK(!block.empty() || (flags & NGHTTP2_HD_INFLATE_EMIT) != 0);
  }
  COPPICE_CHECK(nghttp2_hd_inflate_end_headers(inflater_) == 0 && block.empty());
  return fields;
}

}  // namespace coppice::fuzz
