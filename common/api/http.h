#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/metrics.h"
#include "common/rpc/server.h"

namespace coppice::api {

// What we say we are: the etcd whose behaviour this is (clients switch features by it,
// kube-apiserver its progress requests), and our own release.
constexpr std::string_view kEtcdVersion = "3.6.0";
constexpr std::string_view kVersion = "0.1.0";

// Where the answers come from. Each returns the empty string if all is well, or the reason why not,
// in one line; called on the loop that serves the request.
struct HttpSources {
  std::function<std::string()> unhealthy = {};  // /health: no leader, an alarm, ...
  std::function<std::string()> not_live = {};   // /livez: restart me
  std::function<std::string()> not_ready = {};  // /readyz: send me no clients
  const metrics::Registry* metrics = nullptr;   // null: no /metrics
};

// Plain HTTP on the client port and the metrics port: /version, /health (etcd's JSON), /livez,
// /readyz (etcd's text, `?verbose` included), /metrics. Anything else is 404.
rpc::HttpHandler MakeHttpHandler(HttpSources sources);

}  // namespace coppice::api
