#include "common/rpc/server_core.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/rpc/call.h"

namespace coppice::rpc {
namespace {

constexpr std::size_t kWindowMin = (2U << 20) + (64U << 10);
constexpr std::size_t kWindowSlack = 64U << 10;
constexpr std::size_t kWindowMax = (1U << 31) - 1;

}  // namespace

ServerCore::ServerCore(io::Loop& the_loop, const ServerOptions& the_options,
                       std::vector<MethodSpec> methods, HttpHandler http_handler)
    : loop(the_loop),
      options(the_options),
      http(std::move(http_handler)),
      deadlines(loop, [](DeadlineNode& node) { static_cast<ServerCall&>(node).Expire(); }),
      methods_(std::move(methods)) {
  for (const MethodSpec& method : methods_) by_path_.emplace(method.path, &method);
  COPPICE_CHECK(nghttp2_option_new(&session_options) == 0);
  nghttp2_option_set_no_auto_window_update(session_options, 1);
  nghttp2_option_set_no_closed_streams(session_options, 1);
  nghttp2_option_set_stream_reset_rate_limit(session_options, options.reset_burst,
                                             options.reset_per_second);
}

ServerCore::~ServerCore() {
  nghttp2_option_del(session_options);
}

const MethodSpec* ServerCore::FindMethod(std::string_view path) const {
  const auto it = by_path_.find(path);
  return it == by_path_.end() ? nullptr : it->second;
}

std::uint32_t ServerCore::stream_window() const {
  return static_cast<std::uint32_t>(
      std::clamp(options.message_bytes_max + kWindowSlack, kWindowMin, kWindowMax));
}

ServerCall& ServerCore::NewCall() {
  if (free_slots_.empty()) {
    const auto first = static_cast<std::uint32_t>(slab_.size() * kSlabStep);
    slab_.push_back(std::make_unique<ServerCall[]>(kSlabStep));
    for (std::uint32_t i = kSlabStep; i-- > 0;) {
      slab_.back()[i].SetSlot(first + i);
      free_slots_.push_back(first + i);
    }
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  ++calls_;
  return slab_[slot / kSlabStep][slot % kSlabStep];
}

void ServerCore::FreeCall(ServerCall& call) {
  free_slots_.push_back(call.id().slot);
  --calls_;
}

ServerCall* ServerCore::Find(CallId id) {
  if (id.slot >= slab_.size() * kSlabStep) return nullptr;
  ServerCall& call = slab_[id.slot / kSlabStep][id.slot % kSlabStep];
  return call.id() == id && call.writable() ? &call : nullptr;
}

}  // namespace coppice::rpc
