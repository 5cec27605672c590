#include "common/rpc/request_head.h"

#include "common/rpc/framing.h"

namespace coppice::rpc {
namespace {

constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 section 6.5.2

std::string_view View(nghttp2_rcbuf* buffer) {
  const nghttp2_vec vec = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(vec.base), vec.len};
}

}  // namespace

RequestHead::~RequestHead() {
  for (const KnownPath& known : known_paths_) {
    if (known.buffer != nullptr) nghttp2_rcbuf_decref(known.buffer);
  }
}

void RequestHead::Clear() {
  method_ = nullptr;
  path_.clear();
  bytes_ = 0;
  post_ = grpc_ = bad_timeout_ = has_leader_ = any_coppice_ = false;
  identity_ = true;
  timeout_.reset();
  consistency_ = max_staleness_ = min_revision_ = token_ = unknown_coppice_ = Field();
}

void RequestHead::Add(nghttp2_rcbuf* name_buffer, nghttp2_rcbuf* value_buffer, std::string& text) {
  const std::string_view name = View(name_buffer);
  const std::string_view value = View(value_buffer);
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (name.empty() || too_large()) return;
  switch (name.front()) {
    case ':':
      if (name == ":path") AddPath(value_buffer);
      if (name == ":method") post_ = value == "POST";
      break;
    case 'c':
      if (name == "content-type") grpc_ = value.starts_with("application/grpc");
      if (name.starts_with("coppice-")) AddCoppice(name, value, text);
      break;
    case 'g':
      AddGrpc(name, value);
      break;
    case 'h':
      if (name == "hasleader") has_leader_ = value == "true";
      break;
    case 't':
      if (name == "token") Keep(token_, value, text);
      break;
    case 'a':
      if (name == "authorization" && token_.size == 0) Keep(token_, value, text);
      break;
    default:
      break;
  }
}

void RequestHead::AddPath(nghttp2_rcbuf* value) {
  for (const KnownPath& known : known_paths_) {
    if (known.buffer == value) {
      method_ = known.method;
      return;
    }
  }
  const std::string_view path = View(value);
  method_ = core_.FindMethod(path);
  if (method_ == nullptr) {
    path_ = path;
    return;
  }
  // Holding the buffer keeps its address from meaning another path.
  KnownPath& known = known_paths_[next_known_++ % known_paths_.size()];
  if (known.buffer != nullptr) nghttp2_rcbuf_decref(known.buffer);
  nghttp2_rcbuf_incref(value);
  known = {value, method_};
}

void RequestHead::AddGrpc(std::string_view name, std::string_view value) {
  if (name == "grpc-timeout") {
    timeout_ = ParseTimeout(value);
    bad_timeout_ = !timeout_.has_value();
  } else if (name == "grpc-encoding") {
    identity_ = value == "identity";
  }
}

void RequestHead::AddCoppice(std::string_view name, std::string_view value, std::string& text) {
  any_coppice_ = true;
  if (name == "coppice-consistency") {
    Keep(consistency_, value, text);
  } else if (name == "coppice-max-staleness") {
    Keep(max_staleness_, value, text);
  } else if (name == "coppice-min-revision") {
    Keep(min_revision_, value, text);
  } else {
    Keep(unknown_coppice_, name, text);
  }
}

void RequestHead::Keep(Field& field, std::string_view value, std::string& text) {
  field = {text.size(), value.size()};
  text.append(value);
}

void RequestHead::Resolve(const std::string& text, Metadata& metadata) const {
  const std::string_view all = text;
  metadata.consistency = all.substr(consistency_.offset, consistency_.size);
  metadata.max_staleness = all.substr(max_staleness_.offset, max_staleness_.size);
  metadata.min_revision = all.substr(min_revision_.offset, min_revision_.size);
  metadata.token = all.substr(token_.offset, token_.size);
  metadata.unknown_coppice = all.substr(unknown_coppice_.offset, unknown_coppice_.size);
  metadata.has_leader = has_leader_;
  metadata.any_coppice = any_coppice_;
}

}  // namespace coppice::rpc
