#pragma once

#include <string>
#include <string_view>

#include "common/rpc/server.h"

namespace coppice::rpc {

// The HTTP/1.1 side of a connection (RFC 9112), as far as health checks and metrics scrapers need
// it: GET and HEAD without bodies, keep-alive. Thread: the loop's.
class Http1Session {
 public:
  explicit Http1Session(const HttpHandler& handler) : handler_(handler) {}

  // Returns false if the connection is to be closed once `out` has been sent, which has at most one
  // answer beyond 1 MiB.
  bool Receive(std::string_view bytes, std::string& out);

 private:
  static constexpr std::size_t kRequestBytesMax = 16U << 10;

  bool Answer(std::string_view head, std::string& out);

  const HttpHandler& handler_;
  std::string unread_;
};

}  // namespace coppice::rpc
