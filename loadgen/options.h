#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/consistency.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace coppice::loadgen {

enum class Scenario : std::uint8_t { kPut, kRange, kMixed, kWatch };
enum class Distribution : std::uint8_t { kUniform, kZipf, kHot };

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;

  std::string Name() const { return host + ":" + std::to_string(port); }
};

// Processes whose CPU is counted together: one tier.
struct CpuGroup {
  std::string name;
  std::vector<int> pids;
};

// What `coppice-loadgen run SCENARIO` was asked for. Invariant after ParseRun: the combination
// makes sense (docs in kRunUsage).
struct Options {
  Scenario scenario = Scenario::kRange;
  std::vector<Endpoint> targets;
  bool etcd = false;  // a plain etcd: its serializable flag instead of coppice-* metadata

  std::uint64_t keys = 100000;
  std::size_t value_size = 256;
  Distribution distribution = Distribution::kUniform;
  std::string prefix = "bench/";
  std::uint64_t seed = 1;

  double read_ratio = 0.95;                                 // of a mixed run
  std::vector<ReadMode> modes = {ReadMode::kLinearizable};  // reads take them in turn
  Micros max_staleness = 500 * kMillisecond;
  Revision min_revision = 0;
  double sessions = 0;  // the part of the clients that keep one

  int connections = 8;
  int streams = 32;  // requests in flight per connection
  double rate = 0;   // requests/s of an open loop; 0: closed loop
  Micros duration = 10 * kSecond;
  Micros warmup = 2 * kSecond;
  Micros timeout = 0;  // per request; 0: none
  bool preload = false;

  int watchers = 0;
  int watch_streams = 8;
  int watch_connections = 8;

  std::vector<CpuGroup> cpu_of;
  std::string json_path;
  std::string record_path;
  bool quiet = false;
};

extern const char kRunUsage[];

// `args` follow `run`: the scenario, then options. InvalidArgument says which is wrong and what is
// accepted.
StatusOr<Options> ParseRun(const std::vector<std::string>& args);

const char* ScenarioName(Scenario scenario);
const char* DistributionName(Distribution distribution);
const char* ModeName(ReadMode mode);

}  // namespace coppice::loadgen
