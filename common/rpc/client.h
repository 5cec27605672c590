#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/io/loop.h"

namespace coppice::rpc {

using Header = std::pair<std::string, std::string>;

// One HTTP/2 connection to a gRPC server, light enough for a load generator: no locks, no per-call
// allocation once warm. Thread: its loop's.
class ClientConnection {
 public:
  // Who hears of a call. Outlives it.
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnMessage(std::uint64_t tag, std::string_view message) = 0;
    virtual void OnTrailer(std::uint64_t /*tag*/, std::string_view /*name*/,
                           std::string_view /*value*/) {}
    // The call is over: grpc-status and grpc-message, or Unavailable if the connection was lost.
    virtual void OnFinish(std::uint64_t tag, const Status& status) = 0;
  };
  using CallHandle = std::int32_t;  // the stream id; -1 if the call could not be started

  explicit ClientConnection(io::Loop& loop);
  ~ClientConnection();

  // `on_state` is called with OK once connected, and with the reason whenever the connection is
  // lost or could not be made. There is no reconnecting: make another.
  void Connect(const std::string& host, std::uint16_t port,
               std::function<void(const Status&)> on_state);
  bool connected() const;

  // A set of request headers prepared once: path, content type, metadata.
  using Template = std::uint32_t;
  Template Prepare(std::string_view path, std::span<const Header> metadata, Micros timeout = 0);

  // Gives a header of the prepared metadata another value for the calls that follow. One that is
  // to change is set before the template's first call, too.
  void Set(Template headers, std::string_view name, std::string_view value);

  // Sends one message and half-closes. The bytes are copied.
  CallHandle Unary(Template headers, std::string_view message, std::uint64_t tag,
                   Observer& observer);
  // Opens a stream; Send and HalfClose follow.
  CallHandle Stream(Template headers, std::uint64_t tag, Observer& observer);
  void Send(CallHandle call, std::string_view message);
  void HalfClose(CallHandle call);
  void Cancel(CallHandle call);
  // Stops granting the server flow-control credit on this stream (a slow reader), and resumes.
  void PauseReading(CallHandle call, bool paused);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coppice::rpc
