#include "common/rpc/session.h"

#include "common/base/check.h"
#include "common/base/log.h"

namespace coppice::rpc {
namespace {

constexpr std::uint32_t kConnectionWindow = 16U << 20;
constexpr std::uint32_t kFirstWindow = 65535;  // RFC 9113 section 6.9.2
// Far from the end of the ids, so that what is under way can end (gRPC servers do the same).
constexpr std::int32_t kStreamIdMax = 1 << 30;
constexpr Micros kPingStrikeWithin = 5 * kSecond;
constexpr int kPingStrikesMax = 3;
constexpr std::size_t kDataHeaderSize = 9;

}  // namespace

// nghttp2's callbacks: C functions that find the session and pass on.
struct ServerSession::Callbacks {
  static ServerSession& Self(void* user) { return *static_cast<ServerSession*>(user); }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Self(user).head_call_ = nullptr;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      Self(user).OnRequestHeaders(frame->hd.stream_id);
    }
    return 0;
  }

  static int Header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name,
                    nghttp2_rcbuf* value, std::uint8_t, void* user) {
    ServerSession& self = Self(user);
    if (self.head_call_ != nullptr) self.head_.Add(name, value, self.head_call_->text());
    return 0;
  }

  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Self(user).OnFrame(*frame);
    return 0;
  }

  static int Data(nghttp2_session* session, std::uint8_t, std::int32_t stream_id,
                  const std::uint8_t* data, std::size_t size, void* user) {
    nghttp2_session_consume_connection(session, size);
    if (ServerCall* call = Self(user).CallOf(stream_id); call != nullptr) {
      call->Receive({reinterpret_cast<const char*>(data), size});
    }
    return 0;
  }

  static int FrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Self(user).OnFrameSent(*frame);
    return 0;
  }

  static int SendData(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                      std::size_t size, nghttp2_data_source* source, void* user) {
    ServerSession& self = Self(user);
    if (self.frames_->size() >= self.frames_max_) return NGHTTP2_ERR_WOULDBLOCK;
    COPPICE_DCHECK(frame->data.padlen == 0);
    self.frames_->append(reinterpret_cast<const char*>(header), kDataHeaderSize);
    static_cast<ServerCall*>(source->ptr)->TakeInto(*self.frames_, size);
    (void)frame;
    return 0;
  }

  static int StreamClosed(nghttp2_session*, std::int32_t stream_id, std::uint32_t, void* user) {
    ServerSession& self = Self(user);
    ServerCall* call = self.CallOf(stream_id);
    if (call == nullptr) return 0;
    if (self.head_call_ == call) self.head_call_ = nullptr;
    self.Unlink(*call);
    call->Close();
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
      nghttp2_session_callbacks_set_on_frame_send_callback(set, &FrameSent);
      nghttp2_session_callbacks_set_send_data_callback(set, &SendData);
      nghttp2_session_callbacks_set_on_stream_close_callback(set, &StreamClosed);
      return set;
    }();
    return kCallbacks;
  }
};

ServerSession::ServerSession(ServerCore& core, Host& host, int listener)
    : core_(core), host_(host), listener_(listener), head_(core), last_received_(core.loop.now()) {
  COPPICE_CHECK(nghttp2_session_server_new3(&session_, Callbacks::Get(), this, core.session_options,
                                            core.memory.get()) == 0);
  SubmitSettings();
}

ServerSession::~ServerSession() {
  while (calls_ != nullptr) {
    ServerCall& call = *calls_;
    Unlink(call);
    nghttp2_session_set_stream_user_data(session_, call.stream_id(), nullptr);
    call.Close();
  }
  nghttp2_session_del(session_);
}

void ServerSession::SubmitSettings() {
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, core_.options.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, core_.stream_window()},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(core_.options.header_list_bytes_max)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  static_assert(kConnectionWindow > kFirstWindow);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(kConnectionWindow));
}

bool ServerSession::Receive(std::string_view bytes) {
  last_received_ = core_.loop.wake_time();
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    COPPICE_LOG(kInfo, "rpc: connection closed: {}", nghttp2_strerror(static_cast<int>(taken)));
    broken_ = true;
  }
  host_.WakeFlush();
  return !broken_;
}

void ServerSession::Produce(std::string& out, std::size_t size_max) {
  frames_ = &out;
  frames_max_ = size_max;
  while (out.size() < size_max) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) {
      COPPICE_LOG(kWarn, "rpc: connection closed: {}", nghttp2_strerror(static_cast<int>(size)));
      broken_ = true;
    }
    if (size <= 0) break;
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  frames_ = nullptr;
  for (std::size_t i = 0; i < drained_.size(); ++i) {
    if (ServerCall* call = core_.Find(drained_[i]); call != nullptr) call->Drained();
  }
  drained_.clear();
}

bool ServerSession::finished() const {
  if (draining_ == Draining::kFinal && calls_ == nullptr &&
      nghttp2_session_want_write(session_) == 0) {
    return true;
  }
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

ServerCall* ServerSession::CallOf(std::int32_t stream_id) {
  return static_cast<ServerCall*>(nghttp2_session_get_stream_user_data(session_, stream_id));
}

void ServerSession::OnRequestHeaders(std::int32_t stream_id) {
  if (core_.request_bytes > core_.options.memory_bytes_max) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_REFUSED_STREAM);
    return;
  }
  ServerCall& call = core_.NewCall();
  call.Open(*this, stream_id);
  call.session_prev = nullptr;
  call.session_next = calls_;
  if (calls_ != nullptr) calls_->session_prev = &call;
  calls_ = &call;
  nghttp2_session_set_stream_user_data(session_, stream_id, &call);
  head_.Clear();
  head_call_ = &call;
  if (stream_id >= kStreamIdMax && draining_ == Draining::kNo) Drain();
}

void ServerSession::Unlink(ServerCall& call) {
  (call.session_prev == nullptr ? calls_ : call.session_prev->session_next) = call.session_next;
  if (call.session_next != nullptr) call.session_next->session_prev = call.session_prev;
}

void ServerSession::OnFrame(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
        if (head_call_ == nullptr) return;
        head_call_->Start(head_);
        if (draining_ != Draining::kNo) head_call_->Shutdown();
        head_call_ = nullptr;
      }
      [[fallthrough]];
    case NGHTTP2_DATA:
      if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
      if (ServerCall* call = CallOf(frame.hd.stream_id); call != nullptr) call->HalfClose();
      return;
    case NGHTTP2_PING:
      OnPing(frame);
      return;
    default:
      return;
  }
}

void ServerSession::OnPing(const nghttp2_frame& frame) {
  if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) {
    ping_sent_ = kNever;
    if (draining_ == Draining::kAnnounced) Drain();
    return;
  }
  const Time now = core_.loop.wake_time();
  const bool strike = !sent_since_ping_ && now - last_ping_ < kPingStrikeWithin;
  ping_strikes_ = strike ? ping_strikes_ + 1 : 0;
  last_ping_ = now;
  sent_since_ping_ = false;
  if (ping_strikes_ >= kPingStrikesMax) GoAway(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

void ServerSession::GoAway(std::uint32_t error, std::string_view reason) {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), error,
                        reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size());
  if (error != NGHTTP2_NO_ERROR) {
    COPPICE_LOG(kInfo, "rpc: connection closed: {}", reason);
    broken_ = true;
  }
}

void ServerSession::OnFrameSent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_DATA) sent_since_ping_ = true;
  if (frame.hd.type != NGHTTP2_HEADERS) return;
  sent_since_ping_ = true;
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  // A client that has not half-closed would keep its half of the stream open for ever.
  const ServerCall* call = CallOf(frame.hd.stream_id);
  if (call != nullptr && !call->half_closed()) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR);
  }
}

void ServerSession::Drain() {
  if (draining_ == Draining::kNo) {
    draining_ = Draining::kAnnounced;
    nghttp2_submit_shutdown_notice(session_);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    for (ServerCall* call = calls_; call != nullptr; call = call->session_next) call->Shutdown();
  } else if (draining_ == Draining::kAnnounced) {
    draining_ = Draining::kFinal;
    GoAway(NGHTTP2_NO_ERROR, "");
  }
  host_.WakeFlush();
}

bool ServerSession::Tick(Time now) {
  // A client that does not take our last words has had its time.
  if (broken_) return ++ticks_broken_ < 2;
  if (ping_sent_ != kNever) {
    if (last_received_ > ping_sent_) {
      ping_sent_ = kNever;
    } else {
      return now - ping_sent_ <= core_.options.keepalive_timeout;
    }
  }
  if (now - last_received_ >= core_.options.keepalive_interval) {
    ping_sent_ = now;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    host_.WakeFlush();
  }
  return true;
}

}  // namespace coppice::rpc
