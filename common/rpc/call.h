#pragma once

#include <nghttp2/nghttp2.h>

#include <string>

#include "common/rpc/deadlines.h"
#include "common/rpc/framing.h"
#include "common/rpc/server_core.h"

namespace coppice::rpc {

class RequestHead;
class ServerSession;

// A call on the server: one HTTP/2 stream. Lives in the core's slab from the stream's first header
// until the stream is closed, and is used again. Thread: the loop's.
class ServerCall final : public Call, public DeadlineNode {
 public:
  CallId id() const override { return id_; }
  const Metadata& metadata() const override { return metadata_; }
  Time deadline() const override { return due; }
  int listener() const override;
  void Write(std::span<const std::string_view> pieces) override;
  void BeginParts(std::size_t total) override;
  void AppendPart(std::string_view part) override;
  void Finish(const Status& status,
              std::span<const std::pair<std::string_view, std::string_view>> trailers) override;
  std::size_t unsent_bytes() const override { return out_.size(); }

  // --- For the session and the core.
  void SetSlot(std::uint32_t slot) { id_.slot = slot; }
  void Open(ServerSession& session, std::int32_t stream_id);
  std::string& text() { return text_; }
  std::int32_t stream_id() const { return stream_id_; }
  bool writable() const { return session_ != nullptr && !finished_; }
  bool half_closed() const { return half_closed_; }
  // The header block is complete: checks it, and starts the method or answers with an error.
  void Start(const RequestHead& head);
  void Receive(std::string_view data);
  void HalfClose();
  // nghttp2 asks for up to `size` bytes of the reply (nghttp2_data_source_read_callback).
  ssize_t Read(std::size_t size, std::uint32_t& flags);
  // Moves `size` bytes, promised by Read, into a frame.
  void TakeInto(std::string& frame, std::size_t size);
  void Drained();   // tells the handler
  void Shutdown();  // as above: the server drains
  void Expire();    // the deadline has passed
  void Close();     // the stream is gone; gives the slot back

  ServerCall* session_prev = nullptr;  // the session's list of its calls
  ServerCall* session_next = nullptr;

 private:
  bool Rejected(const RequestHead& head);
  void Fail(StatusCode code, std::string_view message);
  void AnswerHttp(const char* http_status);
  void OpenReply(std::size_t message_size);
  void Resume();
  void NotifyDone();
  void ReleaseRequest();
  void SubmitTrailersOnly();
  void SubmitTrailers();
  void TakeMessages(std::string_view data);

  CallId id_;
  std::int32_t stream_id_ = 0;
  bool replied_ = false;      // response headers are submitted
  bool finished_ = false;     // by Finish, or by an answer of our own
  bool half_closed_ = false;  // by the client
  bool deferred_ = false;     // nghttp2 waits for bytes
  bool incremental_ = false;  // shares the connection round-robin
  bool heard_ = false;        // the handler knows of the call
  bool above_low_ = false;    // unsent bytes were above kLowWater
  StatusCode code_ = StatusCode::kOk;
  ServerSession* session_ = nullptr;
  const MethodSpec* method_ = nullptr;
  Metadata metadata_;
  MessageReader reader_;
  std::uint64_t parts_left_ = 0;
  std::uint32_t promised_ = 0;  // bytes of out_ that are in a frame whose header is written
  ByteQueue out_;
  std::string text_;      // metadata_ points into it
  std::string trailers_;  // "name\0value\0" of the trailers that follow the messages
};

}  // namespace coppice::rpc
