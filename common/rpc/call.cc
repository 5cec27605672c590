#include "common/rpc/call.h"

#include "common/rpc/request_head.h"
#include "common/rpc/session.h"

namespace coppice::rpc {
int ServerCall::listener() const {
  return session_ == nullptr ? 0 : session_->listener();
}

void ServerCall::Open(ServerSession& session, std::int32_t stream_id) {
  ++id_.generation;
  stream_id_ = stream_id;
  replied_ = finished_ = half_closed_ = deferred_ = incremental_ = heard_ = above_low_ = false;
  code_ = StatusCode::kOk;
  session_ = &session;
  method_ = nullptr;
  parts_left_ = 0;
  promised_ = 0;
  due = kNever;
  context = nullptr;
}

void ServerCall::Start(const RequestHead& head) {
  head.Resolve(text_, metadata_);
  method_ = head.method();
  if (Rejected(head)) return;
  ServerCore& core = session_->core();
  if (head.timeout().has_value()) {
    const Time now = core.loop.wake_time();
    if (*head.timeout() == 0) return Fail(StatusCode::kDeadlineExceeded, "deadline exceeded");
    core.deadlines.Add(*this, now + *head.timeout());
  }
  if (method_->client_streams || method_->server_streams) {
    heard_ = true;
    method_->handler->OnStart(*this);
  }
}

bool ServerCall::Rejected(const RequestHead& head) {
  if (head.too_large()) {
    Fail(StatusCode::kResourceExhausted, "request headers are larger than the limit");
  } else if (!head.post()) {
    AnswerHttp("405");
  } else if (!head.grpc()) {
    AnswerHttp("415");
  } else if (method_ == nullptr || method_->handler == nullptr) {
    const std::string_view path = method_ == nullptr ? head.path() : method_->path;
    Fail(StatusCode::kUnimplemented, "unknown method " + std::string(path));
  } else if (!head.identity()) {
    const std::pair<std::string_view, std::string_view> accept[] = {
        {"grpc-accept-encoding", "identity"}};
    Finish(MakeStatus(StatusCode::kUnimplemented, "only identity is accepted as grpc-encoding"),
           accept);
  } else if (head.bad_timeout()) {
    Fail(StatusCode::kInternal, "malformed grpc-timeout");
  } else {
    return false;
  }
  return true;
}

void ServerCall::Fail(StatusCode code, std::string_view message) {
  Finish(MakeStatus(code, message), {});
}

void ServerCall::Receive(std::string_view data) {
  if (finished_) return;
  const std::size_t size = data.size();
  ServerCore& core = session_->core();
  core.request_bytes -= reader_.buffered();
  TakeMessages(data);
  core.request_bytes += reader_.buffered();
  // No new stream is admitted above the limit; those that were share one more message.
  const std::size_t bytes_max = core.options.memory_bytes_max + core.options.message_bytes_max;
  if (!finished_ && core.request_bytes > bytes_max) {
    Fail(StatusCode::kResourceExhausted, "too many bytes of unfinished requests");
    ReleaseRequest();
  }
  // What is handled, or part of a message whose length is bounded, opens the window again. A unary
  // request fits into the first window.
  if (!finished_ && method_->client_streams) {
    nghttp2_session_consume_stream(session_->raw(), stream_id_, size);
    session_->WakeFlush();
  }
}

void ServerCall::TakeMessages(std::string_view data) {
  BufferPool& pool = session_->core().buffers;
  const std::size_t size_max = session_->core().options.message_bytes_max;
  while (!data.empty() && !finished_) {
    if (reader_.complete()) {
      return Fail(StatusCode::kUnimplemented, "more than one message in a unary request");
    }
    std::string_view message;
    switch (reader_.Next(data, size_max, !method_->client_streams, pool, message)) {
      case MessageReader::Result::kNeedMore:
        return;
      case MessageReader::Result::kTooLarge:
        return Fail(StatusCode::kResourceExhausted, "grpc: received message larger than max (" +
                                                        std::to_string(reader_.message_size()) +
                                                        " vs. " + std::to_string(size_max) + ")");
      case MessageReader::Result::kCompressed:
        return Fail(StatusCode::kInternal, "compressed message without grpc-encoding");
      case MessageReader::Result::kMessage:
        break;
    }
    if (method_->client_streams) {
      method_->handler->OnMessage(*this, message);
      reader_.Release(pool);
    }
  }
}

void ServerCall::HalfClose() {
  if (half_closed_) return;
  half_closed_ = true;
  if (finished_) return;
  if (reader_.partial()) {
    return Fail(StatusCode::kInternal, "the request ends before the length of its message");
  }
  if (!method_->client_streams) {
    if (!reader_.complete()) {
      return Fail(StatusCode::kUnimplemented, "no message in the request of a unary call");
    }
    heard_ = true;
    method_->handler->OnMessage(*this, reader_.body());
  }
  const bool streams = method_->client_streams || method_->server_streams;
  if (streams && !finished_) method_->handler->OnHalfClose(*this);
}

void ServerCall::Expire() {
  if (session_ == nullptr) return;
  if (finished_) {
    // The client does not take its answer.
    nghttp2_submit_rst_stream(session_->raw(), NGHTTP2_FLAG_NONE, stream_id_, NGHTTP2_CANCEL);
    session_->WakeFlush();
  } else {
    Fail(StatusCode::kDeadlineExceeded, "deadline exceeded");
  }
  NotifyDone();
}

void ServerCall::NotifyDone() {
  if (heard_) {
    heard_ = false;
    method_->handler->OnDone(*this);
  }
  ReleaseRequest();
}

void ServerCall::ReleaseRequest() {
  session_->core().request_bytes -= reader_.buffered();
  reader_.Release(session_->core().buffers);
}

void ServerCall::Close() {
  ServerCore& core = session_->core();
  Deadlines::Remove(*this);
  finished_ = true;
  NotifyDone();
  reader_ = MessageReader();
  out_.Clear(core.buffers);
  text_.clear();
  trailers_.clear();
  metadata_ = Metadata();
  session_ = nullptr;
  core.FreeCall(*this);
}

}  // namespace coppice::rpc
