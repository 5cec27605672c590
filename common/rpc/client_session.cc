#include "common/rpc/client_session.h"

#include <algorithm>
#include <cstdlib>

#include "common/base/check.h"

namespace coppice::rpc {
namespace {

constexpr std::uint32_t kStreamWindow = 1U << 20;
constexpr std::int32_t kConnectionWindow = 16 << 20;
constexpr std::size_t kDataHeaderSize = 9;
constexpr std::size_t kAuthority = 3;  // its place among a template's fields
constexpr std::size_t kMessageMax = UINT32_MAX;

std::string_view View(nghttp2_rcbuf* buffer) {
  const nghttp2_vec vec = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(vec.base), vec.len};
}

void SetText(std::uint8_t*& field, std::size_t& size, const std::string& text) {
  field = reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  size = text.size();
}

}  // namespace

struct ClientSession::Callbacks {
  static ClientSession& Self(void* user) { return *static_cast<ClientSession*>(user); }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Self(user).head_call_ = Self(user).CallOf(frame->hd.stream_id);
    return 0;
  }
  static int Header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                    nghttp2_rcbuf* value, std::uint8_t, void* user) {
    Self(user).OnHeader(*frame, View(name), View(value));
    return 0;
  }
  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Self(user).OnFrame(*frame);
    return 0;
  }
  static int Data(nghttp2_session*, std::uint8_t, std::int32_t stream_id, const std::uint8_t* data,
                  std::size_t size, void* user) {
    Self(user).OnData(stream_id, {reinterpret_cast<const char*>(data), size});
    return 0;
  }
  static int FrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS) {
      Self(user).End(frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    }
    return 0;
  }
  static int StreamClosed(nghttp2_session*, std::int32_t stream_id, std::uint32_t error,
                          void* user) {
    Self(user).End(stream_id, error);
    return 0;
  }
  static ssize_t ReadSource(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t size,
                            std::uint32_t* flags, nghttp2_data_source* source, void* user) {
    return Self(user).Read(*static_cast<ClientCall*>(source->ptr), size, *flags);
  }
  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header,
                      std::size_t size, nghttp2_data_source* source, void* user) {
    ClientSession& self = Self(user);
    if (self.frames_->size() >= self.frames_max_) return NGHTTP2_ERR_WOULDBLOCK;
    auto& call = *static_cast<ClientCall*>(source->ptr);
    self.frames_->append(reinterpret_cast<const char*>(header), kDataHeaderSize);
    self.frames_->append(call.out.data(), size);
    call.out.Consume(size, self.buffers_);
    return 0;
  }

  static const nghttp2_session_callbacks* Get() {
    static const nghttp2_session_callbacks* const kCallbacks = [] {
      nghttp2_session_callbacks* set = nullptr;
      COPPICE_CHECK(nghttp2_session_callbacks_new(&set) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(set, &BeginHeaders);
      nghttp2_session_callbacks_set_on_header_callback2(set, &Header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(set, &FrameReceived);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(set, &Data);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(set, &FrameNotSent);
      nghttp2_session_callbacks_set_send_data_callback(set, &SendData);
      nghttp2_session_callbacks_set_on_stream_close_callback(set, &StreamClosed);
      return set;
    }();
    return kCallbacks;
  }
};

ClientSession::ClientSession(io::Loop& loop, Host& host)
    : loop_(loop), host_(host), deadlines_(loop, [this](DeadlineNode& node) {
        auto& call = static_cast<ClientCall&>(node);
        call.timed_out = true;
        Reset(call);
      }) {
  nghttp2_option* options = nullptr;
  COPPICE_CHECK(nghttp2_option_new(&options) == 0);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  COPPICE_CHECK(
      nghttp2_session_client_new3(&session_, Callbacks::Get(), this, options, memory_.get()) == 0);
  nghttp2_option_del(options);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

ClientSession::~ClientSession() {
  nghttp2_session_del(session_);
}

ClientSession::Template ClientSession::Prepare(std::string_view path,
                                               std::span<const Header> metadata, Micros timeout) {
  Headers& headers = templates_.emplace_back();
  headers.timeout = timeout;
  const auto add = [&headers](std::string_view name, std::string_view value) {
    nghttp2_nv field{};
    field.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    SetText(field.name, field.namelen, headers.text.emplace_back(name));
    SetText(field.value, field.valuelen, headers.text.emplace_back(value));
    headers.fields.push_back(field);
  };
  add(":method", "POST");
  add(":scheme", "http");
  add(":path", path);
  add(":authority", "");
  add("te", "trailers");
  add("content-type", "application/grpc");
  if (timeout > 0) add("grpc-timeout", FormatTimeout(timeout));
  for (const auto& [name, value] : metadata) add(name, value);
  return static_cast<Template>(templates_.size() - 1);
}

ClientSession::ClientCall& ClientSession::NewCall() {
  if (free_.empty()) {
    slab_.emplace_back();
    free_.push_back(&slab_.back());
    free_.reserve(slab_.size());
  }
  ClientCall& call = *free_.back();
  free_.pop_back();
  return call;
}

void ClientSession::Set(Template headers, std::string_view name, std::string_view value) {
  Headers& prepared = templates_[headers];
  for (std::size_t i = 0; i < prepared.fields.size(); ++i) {
    if (prepared.text[2 * i] != name) continue;
    nghttp2_nv& field = prepared.fields[i];
    // Calls that were started but not sent keep theirs: nghttp2 has copied it.
    field.flags &= static_cast<std::uint8_t>(~NGHTTP2_NV_FLAG_NO_COPY_VALUE);
    SetText(field.value, field.valuelen, prepared.text[2 * i + 1] = value);
    return;
  }
  COPPICE_CHECK(false, "only prepared headers change");
}

ClientSession::CallHandle ClientSession::Start(Template headers, const std::string_view* message,
                                               std::uint64_t tag, Observer& observer) {
  if (going_away_ || broken_) return -1;
  Headers& prepared = templates_[headers];
  nghttp2_nv& authority = prepared.fields[kAuthority];
  SetText(authority.value, authority.valuelen, authority_);
  ClientCall& call = NewCall();
  call.tag = tag;
  call.observer = &observer;
  if (message != nullptr) {
    AppendMessage(call, *message);
    call.half_closed = true;
  }
  nghttp2_data_provider provider{};
  provider.source.ptr = &call;
  provider.read_callback = &Callbacks::ReadSource;
  call.stream_id = nghttp2_submit_request(session_, nullptr, prepared.fields.data(),
                                          prepared.fields.size(), &provider, &call);
  if (call.stream_id < 0) {
    call.out.Clear(buffers_);
    free_.push_back(&call);
    return -1;
  }
  by_id_.emplace(call.stream_id, &call);
  if (prepared.timeout > 0) deadlines_.Add(call, loop_.now() + prepared.timeout);
  host_.WakeFlush();
  return call.stream_id;
}

void ClientSession::AppendMessage(ClientCall& call, std::string_view message) {
  char prefix[kPrefixSize];
  WritePrefix(prefix, static_cast<std::uint32_t>(message.size()));
  call.out.Append({prefix, kPrefixSize}, buffers_);
  call.out.Append(message, buffers_);
  if (!call.deferred) return;
  call.deferred = false;
  nghttp2_session_resume_data(session_, call.stream_id);
}

void ClientSession::Send(CallHandle id, std::string_view message) {
  ClientCall* call = Find(id);
  if (call == nullptr || call->half_closed) return;
  AppendMessage(*call, message);
  host_.WakeFlush();
}

void ClientSession::HalfClose(CallHandle id) {
  ClientCall* call = Find(id);
  if (call == nullptr || call->half_closed) return;
  call->half_closed = true;
  if (call->deferred) {
    call->deferred = false;
    nghttp2_session_resume_data(session_, id);
  }
  host_.WakeFlush();
}

void ClientSession::Cancel(CallHandle id) {
  ClientCall* call = Find(id);
  if (call == nullptr) return;
  call->canceled = true;
  Reset(*call);
}

void ClientSession::Reset(ClientCall& call) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.stream_id, NGHTTP2_CANCEL);
  host_.WakeFlush();
}

void ClientSession::PauseReading(CallHandle id, bool paused) {
  ClientCall* call = Find(id);
  if (call == nullptr) return;
  call->paused = paused;
  if (!paused && call->withheld > 0) {
    nghttp2_session_consume_stream(session_, id, std::exchange(call->withheld, 0));
    host_.WakeFlush();
  }
}

ClientSession::ClientCall* ClientSession::Find(CallHandle id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}

ClientSession::ClientCall* ClientSession::CallOf(std::int32_t stream_id) {
  return static_cast<ClientCall*>(nghttp2_session_get_stream_user_data(session_, stream_id));
}

bool ClientSession::Receive(std::string_view bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) broken_ = true;
  host_.WakeFlush();
  return !broken_;
}

void ClientSession::Produce(std::string& out, std::size_t size_max) {
  frames_ = &out;
  frames_max_ = size_max;
  while (out.size() < size_max) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) broken_ = true;
    if (size <= 0) break;
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  frames_ = nullptr;
}

bool ClientSession::finished() const {
  if (going_away_ && by_id_.empty()) return true;
  return broken_ ||
         (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

ssize_t ClientSession::Read(ClientCall& call, std::size_t size, std::uint32_t& flags) {
  const std::size_t ready = call.out.size();
  if (ready == 0 && !call.half_closed) {
    call.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t take = std::min(size, ready);
  if (take > 0) flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (call.half_closed && take == ready) {
    flags |= NGHTTP2_DATA_FLAG_EOF;
    call.sent_all = true;
  }
  return static_cast<ssize_t>(take);
}

void ClientSession::OnHeader(const nghttp2_frame& frame, std::string_view name,
                             std::string_view value) {
  if (head_call_ == nullptr) return;
  if (name == "grpc-status") {
    head_call_->has_status = true;
    head_call_->code = value == "0" ? StatusCode::kOk : ParseStatusCode(value);
  } else if (name == "grpc-message") {
    head_call_->message = value;
  } else if (name == ":status") {
    head_call_->http_status = value == "200" ? 200 : std::atoi(std::string(value).c_str());
  } else if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && name != "content-type") {
    head_call_->observer->OnTrailer(head_call_->tag, name, value);
  }
}

void ClientSession::OnData(std::int32_t stream_id, std::string_view data) {
  nghttp2_session_consume_connection(session_, data.size());
  ClientCall* call = CallOf(stream_id);
  if (call == nullptr) return;
  if (call->paused) {
    call->withheld += data.size();
  } else {
    nghttp2_session_consume_stream(session_, stream_id, data.size());
  }
  while (!data.empty()) {
    std::string_view message;
    const auto result = call->reader.Next(data, kMessageMax, false, buffers_, message);
    if (result == MessageReader::Result::kNeedMore) return;
    if (result != MessageReader::Result::kMessage) {
      call->has_status = true;
      call->code = StatusCode::kInternal;
      call->message = "compressed message";
      return Reset(*call);
    }
    call->observer->OnMessage(call->tag, message);
    call->reader.Release(buffers_);
  }
}

void ClientSession::OnFrame(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY) {
    // A shutdown notice names the largest id: the final GOAWAY follows, but no call is to start.
    going_away_ = true;
    return;
  }
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  head_call_ = nullptr;
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  ClientCall* call = CallOf(frame.hd.stream_id);
  if (call != nullptr && !call->sent_all) Reset(*call);
}

void ClientSession::End(std::int32_t stream_id, std::uint32_t http2_error) {
  ClientCall* call = Find(stream_id);
  if (call == nullptr) return;
  if (head_call_ == call) head_call_ = nullptr;
  Finish(*call, Outcome(*call, http2_error));
}

Status ClientSession::Outcome(const ClientCall& call, std::uint32_t http2_error) const {
  if (call.timed_out) return MakeStatus(StatusCode::kDeadlineExceeded, "deadline exceeded");
  if (call.canceled) return MakeStatus(StatusCode::kCancelled, "canceled");
  if (call.has_status) {
    if (call.code != StatusCode::kOk) return MakeStatus(call.code, PercentDecode(call.message));
    if (call.reader.partial()) {
      return MakeStatus(StatusCode::kInternal, "the reply ends before the length of its message");
    }
    return OkStatus();
  }
  if (http2_error != NGHTTP2_NO_ERROR) return StatusOfReset(http2_error);
  if (call.http_status != 200) return StatusOfHttp(call.http_status);
  return MakeStatus(StatusCode::kInternal, "the server ended the call without grpc-status");
}

void ClientSession::Finish(ClientCall& call, const Status& status) {
  Observer& observer = *call.observer;
  const std::uint64_t tag = call.tag;
  Deadlines::Remove(call);
  by_id_.erase(call.stream_id);
  nghttp2_session_set_stream_user_data(session_, call.stream_id, nullptr);
  call.out.Clear(buffers_);
  call.reader.Release(buffers_);
  std::string message = std::move(call.message);
  message.clear();
  call = ClientCall();
  call.message = std::move(message);
  free_.push_back(&call);
  observer.OnFinish(tag, status);
}

void ClientSession::FailAll(const Status& status) {
  broken_ = true;
  while (!by_id_.empty()) Finish(*by_id_.begin()->second, status);
}

}  // namespace coppice::rpc
