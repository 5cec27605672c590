#include "common/client/ctl/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace coppice::ctl {
namespace {

std::vector<std::string> SplitEndpoints(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) out.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return out;
}

}  // namespace

Outcome RefuseTlsAndUsers(const Options& options) {
  for (const std::string& endpoint : SplitEndpoints(options.endpoints)) {
    const std::size_t scheme = endpoint.find("://");
    if (scheme == std::string::npos || endpoint.starts_with("http://")) continue;
    return BadArgs(
        fmt::format("endpoint {}: {} is not supported; give host:port or http://host:port",
                    endpoint, endpoint.substr(0, scheme)));
  }
  for (const char* name : {"ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY", "ETCDCTL_USER"}) {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    return BadArgs(
        fmt::format("{} is set, and neither TLS nor users are supported yet: unset it", name));
  }
  return {};
}

Session::Session(const Options& options)
    : options_(options),
      endpoints_(SplitEndpoints(options.endpoints)),
      client_(OptionsFor(endpoints_)) {}

client::ClientOptions Session::OptionsFor(std::vector<std::string> endpoints) const {
  client::ClientOptions out;
  out.endpoints = std::move(endpoints);
  out.prefer = client::Prefer::kInOrder;
  out.dial_timeout = options_.dial_timeout;
  out.timeout = options_.command_timeout;
  out.unreached_passes_max = 1;
  return out;
}

client::CallOptions Session::AsFlagsSay() const {
  client::CallOptions out;
  const auto add = [&out](const char* name, const std::string& value) {
    if (!value.empty()) out.metadata.emplace_back(name, value);
  };
  add("coppice-consistency", options_.consistency);
  add("coppice-max-staleness", options_.max_staleness);
  add("coppice-min-revision", options_.min_revision);
  if (options_.show_served && options_.min_revision.empty()) {
    // Any coppice-* metadata asks for the trailers, and this one asks for nothing else.
    add("coppice-min-revision", "0");
  }
  return out;
}

void Session::ShowServed(const client::CallResult& result) const {
  if (!options_.show_served) return;
  fmt::print(stderr, "served by {}, consistency {}, staleness {}\n", result.served.by,
             result.served.consistency, result.served.staleness);
}

Outcome Session::Report(const client::CallResult& result) const {
  if (result.ok()) {
    ShowServed(result);
    return {};
  }
  if (!result.reached) return Unreachable();
  return Error(Explain(result.status));
}

Outcome Session::Unreachable() const {
  const double seconds = static_cast<double>(options_.dial_timeout) / static_cast<double>(kSecond);
  return Failure{
      kExitBadConnection,
      endpoints_.empty()
          ? "--endpoints names none"
          : fmt::format("cannot connect to any of {} within {:g}s; is the server running?",
                        options_.endpoints, seconds)};
}

std::string Explain(const Status& status) {
  const std::string message(MessageOf(status));
  switch (status.code()) {
    case StatusCode::kDeadlineExceeded:
      // etcdctl says the same, whether client or server ran out of time.
      return "context deadline exceeded";
    case StatusCode::kUnimplemented:
      return message.empty() ? "the server does not have this call" : message;
    default:
      return message.empty() ? fmt::format("gRPC code {}", static_cast<int>(status.code()))
                             : message;
  }
}

}  // namespace coppice::ctl
