#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/rpc/call.h"
#include "common/rpc/request_head.h"
#include "common/rpc/server_core.h"

namespace coppice::rpc {

// The HTTP/2 side of one connection, without its socket: bytes in, bytes out, calls between.
// Thread: the loop's. Receive, Produce and the destructor are never called from within a handler.
class ServerSession {
 public:
  // Who moves the bytes. Outlives the session.
  class Host {
   public:
    virtual ~Host() = default;
    virtual void WakeFlush() = 0;  // Produce has something to say at the end of this turn
  };

  ServerSession(ServerCore& core, Host& host, int listener);
  ~ServerSession();  // ends the calls that are left
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  // Returns false if the connection is beyond repair: what Produce still has (a GOAWAY) is sent,
  // then it is closed.
  bool Receive(std::string_view bytes);
  // Appends frames to `out` until it has `size_max` bytes or nothing is left to send.
  void Produce(std::string& out, std::size_t size_max);
  // Nothing is left to read or to write.
  bool finished() const;

  // GOAWAY that still admits what the client has under way, and a PING; its answer, or the second
  // call, brings the final GOAWAY. The session is finished once its calls are.
  void Drain();
  // Keep-alive; to be called now and then. False: the client is gone.
  bool Tick(Time now);

  ServerCore& core() { return core_; }
  nghttp2_session* raw() { return session_; }
  int listener() const { return listener_; }
  bool has_calls() const { return calls_ != nullptr; }
  void WakeFlush() { host_.WakeFlush(); }
  void AddDrained(CallId id) { drained_.push_back(id); }

 private:
  friend class ServerCall;
  struct Callbacks;

  void SubmitSettings();
  void OnRequestHeaders(std::int32_t stream_id);
  void OnFrame(const nghttp2_frame& frame);
  void OnPing(const nghttp2_frame& frame);
  void OnFrameSent(const nghttp2_frame& frame);
  ServerCall* CallOf(std::int32_t stream_id);
  void Unlink(ServerCall& call);
  void GoAway(std::uint32_t error, std::string_view reason);

  ServerCore& core_;
  Host& host_;
  const int listener_;
  nghttp2_session* session_ = nullptr;
  RequestHead head_;
  ServerCall* head_call_ = nullptr;  // whose header block is arriving
  ServerCall* calls_ = nullptr;
  std::string* frames_ = nullptr;  // during Produce
  std::size_t frames_max_ = 0;
  std::vector<CallId> drained_;

  enum class Draining { kNo, kAnnounced, kFinal };
  Draining draining_ = Draining::kNo;
  bool broken_ = false;
  int ticks_broken_ = 0;
  Time last_received_;
  Time ping_sent_ = kNever;  // our own, unanswered
  Time last_ping_ = -kNever;
  int ping_strikes_ = 0;
  bool sent_since_ping_ = true;  // a HEADERS or DATA frame
};

}  // namespace coppice::rpc
