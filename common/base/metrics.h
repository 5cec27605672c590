#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace coppice::metrics {

// Counts up. One thread writes, any thread reads; a loop that wants to count has its own.
class Counter {
 public:
  void Add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Durations in buckets of powers of two, from 1 us to 67 s. One thread writes, any thread reads;
// a reader may see a value in the buckets a moment before it is in the sum.
class Histogram {
 public:
  static constexpr int kBuckets = 28;  // bucket i holds up to 2^i us; the last, all above

  void Record(Micros duration) {
    const auto us = static_cast<std::uint64_t>(duration < 0 ? 0 : duration);
    const int bucket = us == 0 ? 0 : std::bit_width(us - 1);
    buckets_[static_cast<std::size_t>(bucket < kBuckets ? bucket : kBuckets - 1)].Add();
    sum_us_.Add(us);
  }
  [[nodiscard]] std::uint64_t bucket(int i) const {
    return buckets_[static_cast<std::size_t>(i)].value();
  }
  [[nodiscard]] std::uint64_t sum_us() const { return sum_us_.value(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_us_;
};

// What a process counts, and its text for Prometheus. Registering and rendering lock; counting does
// not. Counters and histograms of the same name and labels (one per loop) are added up.
// Thread: any. Outlives those who count in it.
class Registry {
 public:
  using Labels = std::string;  // `method="Range",code="0"`, or empty

  // `name` is Prometheus's, with its unit: coppice_requests_total, coppice_request_seconds. The
  // `help` of a name's first registration counts.
  Counter& AddCounter(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& AddHistogram(std::string_view name, std::string_view help, const Labels& labels = {});
  // `read` is called at each rendering, on its thread.
  void AddGauge(std::string_view name, std::string_view help, const Labels& labels,
                std::function<double()> read);
  // The same, of what only grows and is counted elsewhere.
  void AddCounterFunction(std::string_view name, std::string_view help, const Labels& labels,
                          std::function<double()> read);

  // The sum of a counter over all its labels; 0 if there is none of that name.
  [[nodiscard]] std::uint64_t Total(std::string_view name) const;
  // The exposition format, version 0.0.4.
  [[nodiscard]] std::string Render() const;

 private:
  enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
  struct Series {
    std::vector<const Counter*> counters;
    std::vector<const Histogram*> histograms;
    std::vector<std::function<double()>> functions;
  };
  struct Family {
    Kind kind = Kind::kCounter;
    std::string help;
    std::map<Labels, Series> series;
  };
  Series& Find(std::string_view name, std::string_view help, Kind kind, const Labels& labels);
  static void RenderHistogram(std::string_view name, const Labels& labels, const Series& series,
                              std::string& out);

  mutable std::mutex mutex_;  // protects all below; not what counters and histograms hold
  std::map<std::string, Family, std::less<>> families_;
  std::deque<Counter> counters_;
  std::deque<Histogram> histograms_;
};

}  // namespace coppice::metrics
