#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "loadgen/sim/run.h"

namespace coppice::sim {

// A seed as it was run in a process of its own.
struct SeedResult {
  std::uint64_t seed = 0;
  bool again = false;  // the second run of it
  // How the process that ran it died, and what it said last; empty: it did not.
  std::string crash;
  RunResult run;
};

// Runs seeds in `jobs` worker processes, so that one that aborts or hangs costs its seed only.
// `next` gives the next seed to run (false: none is left for now, or ever); `done` hears of each.
struct JobOptions {
  int jobs = 1;
  int seconds_max = 120;  // of real time for a seed; then it counts as hung
  std::function<RunResult(std::uint64_t seed)> run;  // in a worker
};
void RunJobs(const JobOptions& options,
             const std::function<bool(std::uint64_t& seed, bool& again)>& next,
             const std::function<void(const SeedResult&)>& done);

}  // namespace coppice::sim
