#pragma once

#include <nghttp2/nghttp2.h>

#include <atomic>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/rpc/buffers.h"
#include "common/rpc/deadlines.h"
#include "common/rpc/nghttp2_memory.h"
#include "common/rpc/server.h"

namespace coppice::rpc {

class ServerCall;

// What a Server's connections share: methods, limits, pools, and the slab of calls.
// Thread: the loop's; outlives the connections.
class ServerCore {
 public:
  ServerCore(io::Loop& loop, const ServerOptions& options, std::vector<MethodSpec> methods,
             HttpHandler http);
  ~ServerCore();
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;

  const MethodSpec* FindMethod(std::string_view path) const;  // null if there is none

  ServerCall& NewCall();
  void FreeCall(ServerCall& call);
  ServerCall* Find(CallId id);  // a call that is open; null otherwise
  std::size_t calls() const { return calls_; }

  std::uint32_t stream_window() const;

  io::Loop& loop;
  const ServerOptions options;
  const HttpHandler http;
  Nghttp2Memory memory;
  BufferPool buffers;
  Deadlines deadlines;
  std::size_t request_bytes = 0;  // of requests that are unfinished or being worked on
  nghttp2_option* session_options = nullptr;

 private:
  static constexpr std::size_t kSlabStep = 64;

  const std::vector<MethodSpec> methods_;
  std::unordered_map<std::string_view, const MethodSpec*> by_path_;
  std::vector<std::unique_ptr<ServerCall[]>> slab_;
  std::vector<std::uint32_t> free_slots_;
  std::size_t calls_ = 0;
};

}  // namespace coppice::rpc
