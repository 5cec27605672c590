#pragma once

#include <nghttp2/nghttp2.h>

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/rpc/buffers.h"
#include "common/rpc/client.h"
#include "common/rpc/deadlines.h"
#include "common/rpc/framing.h"
#include "common/rpc/nghttp2_memory.h"

namespace coppice::rpc {

// The HTTP/2 side of a ClientConnection, without its socket. Thread: the loop's. Receive, Produce
// and the destructor are never called from within an observer.
class ClientSession {
 public:
  using Observer = ClientConnection::Observer;
  using Template = ClientConnection::Template;
  using CallHandle = ClientConnection::CallHandle;

  class Host {
   public:
    virtual ~Host() = default;
    virtual void WakeFlush() = 0;
  };

  ClientSession(io::Loop& loop, Host& host);
  ~ClientSession();  // without a word to the observers
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  void SetAuthority(const std::string& authority) { authority_ = authority; }
  Template Prepare(std::string_view path, std::span<const Header> metadata, Micros timeout);
  void Set(Template headers, std::string_view name, std::string_view value);
  // Starts a call; with `message` it is sent and the call half-closed. -1 if it cannot be.
  CallHandle Start(Template headers, const std::string_view* message, std::uint64_t tag,
                   Observer& observer);
  void Send(CallHandle call, std::string_view message);
  void HalfClose(CallHandle call);
  void Cancel(CallHandle call);
  void PauseReading(CallHandle call, bool paused);

  bool Receive(std::string_view bytes);  // false: the connection is beyond repair
  void Produce(std::string& out, std::size_t size_max);
  bool finished() const;
  bool going_away() const { return going_away_; }
  // Ends every call with `status`.
  void FailAll(const Status& status);

 private:
  struct Callbacks;
  struct ClientCall : DeadlineNode {
    std::int32_t stream_id = -1;
    std::uint64_t tag = 0;
    Observer* observer = nullptr;
    ByteQueue out;
    MessageReader reader;
    std::size_t withheld = 0;  // credit that a paused reader does not give
    int http_status = 0;
    bool half_closed = false;
    bool sent_all = false;  // our END_STREAM is framed
    bool deferred = false;
    bool paused = false;
    bool has_status = false;
    bool timed_out = false;
    bool canceled = false;
    StatusCode code = StatusCode::kOk;
    std::string message;  // percent-encoded
  };
  struct Headers {
    std::deque<std::string> text;  // what `fields` points into
    std::vector<nghttp2_nv> fields;
    Micros timeout = 0;
  };

  ClientCall* Find(CallHandle id);
  ClientCall* CallOf(std::int32_t stream_id);
  ClientCall& NewCall();
  void End(std::int32_t stream_id, std::uint32_t http2_error);
  Status Outcome(const ClientCall& call, std::uint32_t http2_error) const;
  void Finish(ClientCall& call, const Status& status);
  void Reset(ClientCall& call);
  void AppendMessage(ClientCall& call, std::string_view message);
  void OnHeader(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  void OnData(std::int32_t stream_id, std::string_view data);
  void OnFrame(const nghttp2_frame& frame);
  ssize_t Read(ClientCall& call, std::size_t size, std::uint32_t& flags);

  io::Loop& loop_;
  Host& host_;
  Nghttp2Memory memory_;
  BufferPool buffers_;
  Deadlines deadlines_;
  nghttp2_session* session_ = nullptr;
  std::string authority_;
  std::deque<Headers> templates_;
  std::deque<ClientCall> slab_;
  std::vector<ClientCall*> free_;
  absl::flat_hash_map<std::int32_t, ClientCall*> by_id_;
  ClientCall* head_call_ = nullptr;  // whose header block is arriving
  std::string* frames_ = nullptr;    // during Produce
  std::size_t frames_max_ = 0;
  bool going_away_ = false;
  bool broken_ = false;
};

}  // namespace coppice::rpc
