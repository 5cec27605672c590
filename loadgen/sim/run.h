#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loadgen/sim/coverage.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {

struct Plan;

struct RunOptions {
  std::uint64_t seed = 0;
  // What `--shrink` leaves out.
  std::uint32_t fault_kinds_off = 0;                           // bits by FaultKind
  int voters = -1, learners = -1, proxies = -1, clients = -1;  // -1: as the seed says
  std::uint64_t operations_max = UINT64_MAX;
  std::string trace_file;         // every event, a line each; empty: none
  void (*bias)(Plan&) = nullptr;  // makes something likely that most seeds lack
};

struct RunResult {
  bool valid = true;  // enough was done to say something
  std::vector<Violation> violations;
  Coverage coverage;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  std::uint64_t succeeded = 0;  // operations
  std::string plan;             // cluster and faults of this seed, in a line
  bool failed() const { return !violations.empty(); }
};

// One seed, from nothing to its verdict, on the calling thread.
RunResult RunSeed(const RunOptions& options);

}  // namespace coppice::sim
