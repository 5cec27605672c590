#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/api/urls.h"
#include "common/node/flags.h"

namespace coppice::proxy {

struct ProxyOptions {
  node::CommonFlags flags;
  std::vector<api::Url> upstreams;                          // peer addresses of voters or learners
  std::size_t watch_buffer_bytes = std::size_t{256} << 20;  // of all loops together
};

// coppice-proxy's command line. Empty: go on; otherwise the program's exit code.
std::optional<int> ParseFlags(int argc, const char* const* argv, ProxyOptions& options);

}  // namespace coppice::proxy
