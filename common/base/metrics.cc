#include "common/base/metrics.h"

#include <fmt/format.h>

#include "common/base/check.h"

namespace coppice::metrics {
namespace {

constexpr std::string_view kKindNames[] = {"counter", "gauge", "histogram"};

std::string Braced(const std::string& labels, std::string_view more = {}) {
  if (labels.empty() && more.empty()) return {};
  const std::string_view comma = labels.empty() || more.empty() ? "" : ",";
  return fmt::format("{{{}{}{}}}", labels, comma, more);
}

}  // namespace

Registry::Series& Registry::Find(std::string_view name, std::string_view help, Kind kind,
                                 const Labels& labels) {
  auto it = families_.find(name);
  if (it == families_.end()) {
    it = families_.emplace(std::string(name), Family{kind, std::string(help), {}}).first;
  }
  COPPICE_CHECK(it->second.kind == kind, "a metric's name has one kind");
  return it->second.series[labels];
}

Counter& Registry::AddCounter(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Counter& counter = counters_.emplace_back();
  Find(name, help, Kind::kCounter, labels).counters.push_back(&counter);
  return counter;
}

Histogram& Registry::AddHistogram(std::string_view name, std::string_view help,
                                  const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Histogram& histogram = histograms_.emplace_back();
  Find(name, help, Kind::kHistogram, labels).histograms.push_back(&histogram);
  return histogram;
}

void Registry::AddGauge(std::string_view name, std::string_view help, const Labels& labels,
                        std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  Find(name, help, Kind::kGauge, labels).functions.push_back(std::move(read));
}

void Registry::AddCounterFunction(std::string_view name, std::string_view help,
                                  const Labels& labels, std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  Find(name, help, Kind::kCounter, labels).functions.push_back(std::move(read));
}

void Registry::RenderHistogram(std::string_view name, const Labels& labels, const Series& series,
                               std::string& out) {
  const auto sum_of = [&series](auto read) {
    std::uint64_t sum = 0;
    for (const Histogram* histogram : series.histograms) sum += read(*histogram);
    return sum;
  };
  std::uint64_t cumulative = 0;
  for (int i = 0; i < Histogram::kBuckets; ++i) {
    cumulative += sum_of([i](const Histogram& histogram) { return histogram.bucket(i); });
    const std::string le = i == Histogram::kBuckets - 1
                               ? std::string("+Inf")
                               : fmt::format("{:g}", static_cast<double>(1ULL << i) * 1e-6);
    out += fmt::format("{}_bucket{} {}\n", name, Braced(labels, "le=\"" + le + "\""), cumulative);
  }
  const std::uint64_t sum = sum_of([](const Histogram& histogram) { return histogram.sum_us(); });
  out += fmt::format("{}_sum{} {:.6f}\n", name, Braced(labels), static_cast<double>(sum) * 1e-6);
  out += fmt::format("{}_count{} {}\n", name, Braced(labels), cumulative);
}

std::uint64_t Registry::Total(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto family = families_.find(name);
  if (family == families_.end()) return 0;
  std::uint64_t total = 0;
  for (const auto& [labels, series] : family->second.series) {
    for (const Counter* counter : series.counters) total += counter->value();
  }
  return total;
}

std::string Registry::Render() const {
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name,
                       kKindNames[static_cast<std::size_t>(family.kind)]);
    for (const auto& [labels, series] : family.series) {
      if (family.kind == Kind::kHistogram) {
        RenderHistogram(name, labels, series, out);
        continue;
      }
      std::uint64_t counted = 0;
      for (const Counter* counter : series.counters) counted += counter->value();
      double read = 0;
      for (const auto& function : series.functions) read += function();
      out += series.functions.empty() ? fmt::format("{}{} {}\n", name, Braced(labels), counted)
                                      : fmt::format("{}{} {}\n", name, Braced(labels),
                                                    read + static_cast<double>(counted));
    }
  }
  return out;
}

}  // namespace coppice::metrics
