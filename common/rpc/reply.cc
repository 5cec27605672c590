// The reply half of ServerCall: queueing messages, feeding nghttp2, status and trailers.

#include <array>
#include <vector>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/rpc/call.h"
#include "common/rpc/session.h"

namespace coppice::rpc {
namespace {

constexpr std::size_t kLargeReply = 16U << 10;
constexpr std::uint8_t kStatic = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

nghttp2_nv Nv(std::string_view name, std::string_view value, std::uint8_t flags) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), flags};
}

std::string_view CodeText(StatusCode code) {
  static constexpr std::string_view kText[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                               "9", "10", "11", "12", "13", "14", "15", "16"};
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kText) ? kText[index] : "2";
}

std::string_view NextField(std::string_view& rest) {
  const std::size_t end = rest.find('\0');
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return field;
}

// Staleness differs from reply to reply: it would only wash out the table.
bool WorthIndexing(std::string_view name) {
  return name != "grpc-message" && name != "coppice-staleness";
}

void AppendTrailers(std::string_view packed, std::vector<nghttp2_nv>& out) {
  while (!packed.empty()) {
    const std::string_view name = NextField(packed);
    const std::string_view value = NextField(packed);
    out.push_back(Nv(name, value, WorthIndexing(name) ? 0 : NGHTTP2_NV_FLAG_NO_INDEX));
  }
}

ssize_t ReadSource(nghttp2_session* /*session*/, std::int32_t /*stream_id*/, std::uint8_t* /*buf*/,
                   std::size_t length, std::uint32_t* flags, nghttp2_data_source* source,
                   void* /*user*/) {
  return static_cast<ServerCall*>(source->ptr)->Read(length, *flags);
}

}  // namespace

void ServerCall::Write(std::span<const std::string_view> pieces) {
  if (!writable()) return;
  std::size_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  OpenReply(total);
  BufferPool& pool = session_->core().buffers;
  for (const std::string_view piece : pieces) out_.Append(piece, pool);
  Resume();
}

void ServerCall::BeginParts(std::size_t total) {
  if (!writable()) return;
  OpenReply(total);
  parts_left_ = total;
  Resume();
}

void ServerCall::AppendPart(std::string_view part) {
  if (!writable()) return;
  COPPICE_CHECK(part.size() <= parts_left_, "parts are no longer than was announced");
  parts_left_ -= part.size();
  out_.Append(part, session_->core().buffers);
  Resume();
}

void ServerCall::OpenReply(std::size_t message_size) {
  COPPICE_CHECK(parts_left_ == 0, "a message ends before the next begins");
  COPPICE_CHECK(message_size <= UINT32_MAX, "gRPC has 32 bits for a message's length");
  const bool streams = method_->client_streams || method_->server_streams;
  if (!incremental_ && (streams || message_size > kLargeReply)) {
    // Without this, nghttp2 sends equally urgent replies one whole after the other.
    incremental_ = true;
    const nghttp2_extpri extpri = {NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
    nghttp2_session_change_extpri_stream_priority(session_->raw(), stream_id_, &extpri, 1);
  }
  if (!replied_) {
    replied_ = true;
    static const std::array<nghttp2_nv, 2> kHeaders = {
        Nv(":status", "200", kStatic), Nv("content-type", "application/grpc", kStatic)};
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = &ReadSource;
    nghttp2_submit_response(session_->raw(), stream_id_, kHeaders.data(), kHeaders.size(),
                            &provider);
  }
  char prefix[kPrefixSize];
  WritePrefix(prefix, static_cast<std::uint32_t>(message_size));
  out_.Append({prefix, kPrefixSize}, session_->core().buffers);
}

void ServerCall::Resume() {
  if (out_.size() > kLowWater) above_low_ = true;
  if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(session_->raw(), stream_id_);
  }
  session_->WakeFlush();
}

void ServerCall::Finish(const Status& status,
                        std::span<const std::pair<std::string_view, std::string_view>> trailers) {
  if (!writable()) return;
  finished_ = true;
  above_low_ = false;
  code_ = status.code();
  if (parts_left_ > 0 && status.ok()) {
    COPPICE_LOG(kError, "rpc: {} ended {} bytes before its message did", method_->path,
                parts_left_);
    code_ = StatusCode::kInternal;
  }
  for (const auto& [name, value] : trailers) {
    trailers_.append(name).push_back('\0');
    trailers_.append(value).push_back('\0');
  }
  if (!status.ok() && !status.message().empty()) {
    trailers_.append("grpc-message").push_back('\0');
    AppendPercentEncoded(trailers_, MessageOf(status));
    trailers_.push_back('\0');
  }
  if (!replied_) return SubmitTrailersOnly();
  if (code_ != StatusCode::kOk) out_.Truncate(promised_);
  Resume();
}

void ServerCall::SubmitTrailersOnly() {
  replied_ = true;
  std::vector<nghttp2_nv> headers = {Nv(":status", "200", kStatic),
                                     Nv("content-type", "application/grpc", kStatic),
                                     Nv("grpc-status", CodeText(code_), kStatic)};
  AppendTrailers(trailers_, headers);
  nghttp2_submit_response(session_->raw(), stream_id_, headers.data(), headers.size(), nullptr);
  session_->WakeFlush();
}

void ServerCall::AnswerHttp(const char* http_status) {
  finished_ = replied_ = true;
  const nghttp2_nv header = Nv(":status", http_status, kStatic);
  nghttp2_submit_response(session_->raw(), stream_id_, &header, 1, nullptr);
  session_->WakeFlush();
}

void ServerCall::SubmitTrailers() {
  if (trailers_.empty()) {
    const nghttp2_nv status = Nv("grpc-status", CodeText(code_), kStatic);
    nghttp2_submit_trailer(session_->raw(), stream_id_, &status, 1);
    return;
  }
  std::vector<nghttp2_nv> fields = {Nv("grpc-status", CodeText(code_), kStatic)};
  AppendTrailers(trailers_, fields);
  nghttp2_submit_trailer(session_->raw(), stream_id_, fields.data(), fields.size());
}

ssize_t ServerCall::Read(std::size_t size, std::uint32_t& flags) {
  const std::size_t ready = out_.size();
  if (ready == 0 && !finished_) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t take = std::min(size, ready);
  if (finished_ && take == ready) {
    flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    SubmitTrailers();
  }
  if (take > 0) flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  promised_ = static_cast<std::uint32_t>(take);
  return static_cast<ssize_t>(take);
}

void ServerCall::TakeInto(std::string& frame, std::size_t size) {
  frame.append(out_.data(), size);
  out_.Consume(size, session_->core().buffers);
  promised_ = 0;
  if (above_low_ && out_.size() < kLowWater) {
    above_low_ = false;
    session_->AddDrained(id_);
  }
}

void ServerCall::Shutdown() {
  if (heard_ && writable()) method_->handler->OnShutdown(*this);
}

void ServerCall::Drained() {
  if (heard_) method_->handler->OnDrained(*this);
}

}  // namespace coppice::rpc
