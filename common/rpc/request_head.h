#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "common/rpc/server_core.h"

namespace coppice::rpc {

// The request headers of the stream whose header block is arriving: a connection has one at a time,
// for a block is never interleaved. The values that a handler may want go to `text`, which becomes
// the call's. Thread: the loop's.
class RequestHead {
 public:
  explicit RequestHead(ServerCore& core) : core_(core) {}
  ~RequestHead();
  RequestHead(const RequestHead&) = delete;
  RequestHead& operator=(const RequestHead&) = delete;

  void Clear();
  void Add(nghttp2_rcbuf* name, nghttp2_rcbuf* value, std::string& text);
  // Views into `text`, once the block is complete.
  void Resolve(const std::string& text, Metadata& metadata) const;

  const MethodSpec* method() const { return method_; }  // null: no such path
  std::string_view path() const { return path_; }       // only if there is no such path
  bool post() const { return post_; }
  bool grpc() const { return grpc_; }
  bool identity() const { return identity_; }
  bool too_large() const { return bytes_ > core_.options.header_list_bytes_max; }
  bool bad_timeout() const { return bad_timeout_; }
  std::optional<Micros> timeout() const { return timeout_; }

 private:
  struct Field {
    std::size_t offset = 0;
    std::size_t size = 0;
  };
  // A path that the peer's HPACK table holds comes as the same buffer each time.
  struct KnownPath {
    nghttp2_rcbuf* buffer = nullptr;
    const MethodSpec* method = nullptr;
  };

  void AddPath(nghttp2_rcbuf* value);
  void AddGrpc(std::string_view name, std::string_view value);
  void AddCoppice(std::string_view name, std::string_view value, std::string& text);
  static void Keep(Field& field, std::string_view value, std::string& text);

  ServerCore& core_;
  std::array<KnownPath, 4> known_paths_;
  std::size_t next_known_ = 0;

  const MethodSpec* method_ = nullptr;
  std::string path_;
  std::size_t bytes_ = 0;
  bool post_ = false;
  bool grpc_ = false;
  bool identity_ = true;
  bool bad_timeout_ = false;
  bool has_leader_ = false;
  bool any_coppice_ = false;
  std::optional<Micros> timeout_;
  Field consistency_, max_staleness_, min_revision_, token_, unknown_coppice_;
};

}  // namespace coppice::rpc
