#include "common/api/http.h"

#include <fmt/format.h>

#include <utility>

namespace coppice::api {
namespace {

using Check = std::function<std::string()>;

std::string Reason(const Check& check) {
  return check ? check() : std::string();
}

std::string JsonEscaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

rpc::HttpResponse Version() {
  return {.status = 200,
          .content_type = "application/json",
          .body = fmt::format(R"({{"etcdserver":"{}","etcdcluster":"{}","coppice":"{}"}})",
                              kEtcdVersion, kEtcdVersion, kVersion)};
}

rpc::HttpResponse Healthy(const Check& check) {
  const std::string reason = Reason(check);
  return {.status = reason.empty() ? 200 : 503,
          .content_type = "application/json",
          .body = fmt::format(R"({{"health":"{}","reason":"{}"}})", reason.empty(),
                              JsonEscaped(reason))};
}

rpc::HttpResponse Probe(std::string_view name, const Check& check, std::string_view query) {
  const std::string reason = Reason(check);
  if (!reason.empty()) {
    return {.status = 503,
            .content_type = "text/plain; charset=utf-8",
            .body = fmt::format("[-]{} failed: {}\n{} check failed\n", name, reason, name)};
  }
  const bool verbose = query == "verbose" || query.starts_with("verbose&");
  return {.status = 200,
          .content_type = "text/plain; charset=utf-8",
          .body = verbose ? fmt::format("[+]{} ok\n{} check passed\n", name, name) : "ok\n"};
}

}  // namespace

rpc::HttpHandler MakeHttpHandler(HttpSources sources) {
  return [sources = std::move(sources)](std::string_view path,
                                        std::string_view query) -> rpc::HttpResponse {
    if (path == "/version") return Version();
    if (path == "/health") return Healthy(sources.unhealthy);
    if (path == "/livez") return Probe("livez", sources.not_live, query);
    if (path == "/readyz") return Probe("readyz", sources.not_ready, query);
    if (path == "/metrics" && sources.metrics != nullptr) {
      return {.status = 200,
              .content_type = "text/plain; version=0.0.4; charset=utf-8",
              .body = sources.metrics->Render()};
    }
    return {.status = 404, .content_type = "text/plain", .body = "404 page not found\n"};
  };
}

}  // namespace coppice::api
