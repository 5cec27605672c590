#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "loadgen/cpu.h"
#include "loadgen/histogram.h"
#include "loadgen/options.h"

namespace coppice::loadgen {

// One kind of request.
struct Series {
  Histogram latency;  // of those that ended well
  std::uint64_t ok = 0;
  std::uint64_t errors = 0;   // grpc-status was not OK
  std::uint64_t wrong = 0;    // the reply cannot be right
  std::uint64_t missing = 0;  // well, and the key was not there (part of ok)
};

constexpr std::array<const char*, 4> kSeriesNames = {"put", "linearizable", "bounded",
                                                     "serializable"};

struct WatchSummary {
  std::uint64_t watchers = 0;
  std::uint64_t events = 0;
  std::uint64_t gaps = 0;
  std::uint64_t repeats = 0;  // and events out of order
  std::uint64_t wrong = 0;    // another key's, or malformed
  std::uint64_t canceled = 0;
  std::uint64_t behind = 0;   // watchers that had not seen the last event when the run ended
  std::uint64_t resumed = 0;  // streams made anew
  Histogram latency;          // from the put's sending to the event's arrival

  bool clean() const { return gaps + repeats + wrong + canceled + behind == 0; }
};

struct RunResult {
  double seconds = 0;
  std::array<Series, kSeriesNames.size()> series;
  std::map<std::string, std::uint64_t> errors;  // by message
  std::uint64_t reconnects = 0;
  std::vector<CpuUse> cpu;
  WatchSummary watch;

  std::uint64_t ok() const;
  std::uint64_t bad() const;  // errors and wrong replies
};

std::string ToJson(const Options& options, const RunResult& result);
// The table of a result as ToJson wrote it.
StatusOr<std::string> TableOf(const std::string& json);

}  // namespace coppice::loadgen
