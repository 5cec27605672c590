#pragma once

#include <array>

#include "common/api/edge_call.h"
#include "common/base/metrics.h"

namespace coppice::api {

// What one loop's edge counts in the process's registry:
//   coppice_requests_total{method}         answered calls
//   coppice_request_errors_total{method}   of these, with an error
//   coppice_request_seconds{method}        from arrival to answer
//   coppice_read_staleness_seconds{consistency}  how stale served reads were, by what was asked for
class EdgeMetrics final : public EdgeObserver {
 public:
  explicit EdgeMetrics(metrics::Registry& registry);
  void OnAnswered(Method method, StatusCode code, Micros duration, const Served* served) override;
  // Answered calls of all methods, for requests per second.
  [[nodiscard]] std::uint64_t requests() const { return all_.value(); }

 private:
  struct PerMethod {
    metrics::Counter* requests = nullptr;
    metrics::Counter* errors = nullptr;
    metrics::Histogram* duration = nullptr;
  };
  std::array<PerMethod, static_cast<std::size_t>(Method::kClusterStatus) + 1> methods_;
  std::array<metrics::Histogram*, 3> staleness_;  // by ReadMode
  metrics::Counter all_;
};

}  // namespace coppice::api
