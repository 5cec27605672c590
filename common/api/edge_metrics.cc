#include "common/api/edge_metrics.h"

#include <string>

#include "common/api/metadata.h"

namespace coppice::api {

EdgeMetrics::EdgeMetrics(metrics::Registry& registry) {
  for (const MethodInfo& info : Methods()) {
    if (info.method == Method::kUnknown || !info.built) continue;
    const std::string_view name = info.path.substr(info.path.rfind('/') + 1);
    const std::string labels = "method=\"" + std::string(name) + "\"";
    PerMethod& method = methods_[static_cast<std::size_t>(info.method)];
    method.requests = &registry.AddCounter("coppice_requests_total", "Answered calls.", labels);
    method.errors = &registry.AddCounter("coppice_request_errors_total",
                                         "Calls answered with an error.", labels);
    method.duration = &registry.AddHistogram("coppice_request_seconds",
                                             "From a call's arrival to its answer.", labels);
  }
  for (ReadMode mode : {ReadMode::kLinearizable, ReadMode::kBounded, ReadMode::kSerializable}) {
    staleness_[static_cast<std::size_t>(mode)] = &registry.AddHistogram(
        "coppice_read_staleness_seconds", "How stale what reads were served from was.",
        "consistency=\"" + std::string(NameOf(mode)) + "\"");
  }
}

void EdgeMetrics::OnAnswered(Method method, StatusCode code, Micros duration,
                             const Served* served) {
  const PerMethod& counts = methods_[static_cast<std::size_t>(method)];
  all_.Add();
  counts.requests->Add();
  if (code != StatusCode::kOk) counts.errors->Add();
  counts.duration->Record(duration);
  if (served != nullptr && served->staleness >= 0) {
    staleness_[static_cast<std::size_t>(served->mode)]->Record(served->staleness);
  }
}

}  // namespace coppice::api
