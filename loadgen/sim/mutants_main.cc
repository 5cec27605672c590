// coppice-sim-mutants: shows that the checkers find each of the mistakes that common/base/mutant.h
// can make (docs/correctness.md).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutant.h"
#include "common/node/command_line.h"
#include "common/raft/sim_nemesis.h"
#include "loadgen/sim/hunt.h"
#include "loadgen/sim/jobs.h"
#include "loadgen/sim/mutants.h"

namespace coppice::sim {
namespace {

constexpr int kSecondsMax = 30;  // of real time for a seed

// A run as one number, as workers take it.
std::uint64_t Pack(const Planted& planted, const Hunt::Run& run) {
  return run.seed << 8 | static_cast<std::uint64_t>(planted.mutant) << 1 | (run.control ? 1 : 0);
}
std::size_t PlantedOf(std::uint64_t number) {
  return number >> 1 & 0x7f;
}

RunResult RunPacked(std::uint64_t number) {
  const Planted& planted = AllPlanted()[PlantedOf(number)];
  t_active_mutant.reset();
  if ((number & 1) == 0) t_active_mutant = planted.mutant;
  if (planted.arena == Arena::kCores) {
    RunResult result;
    const std::string broken = raft::RunNemesis(number >> 8);
    if (!broken.empty()) result.violations.push_back({"Liveness", broken});
    return result;
  }
  RunOptions options;
  options.seed = number >> 8;
  options.bias = planted.bias;
  return RunSeed(options);
}

class Campaign {
 public:
  Campaign(std::string_view only, const HuntOptions& options, bool verbose) : verbose_(verbose) {
    for (const Planted& planted : AllPlanted()) {
      if (planted.name.find(only) != std::string_view::npos) hunts_.emplace_back(planted, options);
    }
  }

  // Whether all were killed.
  bool Run(int jobs) {
    const auto begun = std::chrono::steady_clock::now();
    fmt::print("| mutant | killed by | seeds needed |\n|---|---|---|\n");
    JobOptions options;
    options.jobs = jobs;
    options.seconds_max = kSecondsMax;
    options.run = RunPacked;
    RunJobs(
        options,
        [this](std::uint64_t& number, bool& again) {
          again = false;
          return Next(number);
        },
        [this](const SeedResult& result) { Done(result); });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    std::size_t killed = 0;
    std::uint64_t unfit = 0;
    for (const Hunt& hunt : hunts_) {
      killed += hunt.killed() ? 1 : 0;
      unfit += hunt.unfit();
    }
    fmt::print("\n{} of {} mutants killed in {:.0f} s; {} seeds were no proof: they fail anyway\n",
               killed, hunts_.size(), took.count(), unfit);
    return killed == hunts_.size();
  }

 private:
  // Each mutant's seeds go one after the other, so that a run says the same with any number of
  // jobs.
  bool Next(std::uint64_t& number) {
    for (Hunt& hunt : hunts_) {
      if (hunt.busy() || hunt.over()) continue;
      number = Pack(hunt.planted(), hunt.Next());
      return true;
    }
    return false;
  }

  void Done(const SeedResult& result) {
    const Planted& planted = AllPlanted()[PlantedOf(result.seed)];
    if (verbose_) Tell(planted, result);
    for (Hunt& hunt : hunts_) {
      if (&hunt.planted() == &planted) hunt.Done(result);
    }
    for (; printed_ < hunts_.size() && hunts_[printed_].over(); ++printed_) {
      PrintRow(hunts_[printed_]);
    }
  }

  static void PrintRow(const Hunt& hunt) {
    const bool cores = hunt.planted().arena == Arena::kCores;
    fmt::print("| {}{} | {} | {}{} |\n", hunt.planted().name, cores ? " (cores)" : "",
               hunt.killed() ? fmt::format("{}", fmt::join(hunt.killed_by(), ", ")) : "SURVIVED",
               hunt.seeds(), hunt.killed() ? fmt::format(" (seed {})", hunt.killer()) : "");
    std::fflush(stdout);
  }

  static void Tell(const Planted& planted, const SeedResult& result) {
    const auto names = Complaints(result);
    if (names.empty()) return;
    fmt::print("  {}, seed {}{}: {}\n", planted.name, result.seed >> 8,
               (result.seed & 1) != 0 ? " without it" : "", fmt::join(names, ", "));
    for (const Violation& violation : result.run.violations) {
      fmt::print("    {}: {}\n", violation.property, violation.what);
    }
  }

  const bool verbose_;
  std::vector<Hunt> hunts_;
  std::size_t printed_ = 0;
};

}  // namespace
}  // namespace coppice::sim

int main(int argc, char** argv) {
  std::string only;
  int jobs = 1;
  bool verbose = false;
  coppice::sim::HuntOptions options;
  coppice::node::CommandLine line(
      "Breaks one rule after the other and shows that the checkers find it", "coppice-sim-mutants");
  line.Text("--only", only, "Mutants whose name contains this");
  line.NumberIn("--jobs", jobs, 1, 256, "Seeds at a time");
  line.Number("--budget", options.budget, "Seeds for each mutant");
  line.Number("--more", options.more, "Seeds beyond the first that kills, for other checkers");
  line.Switch("--from-one", options.from_one, "Forget the seeds that are known to kill");
  line.Switch("--verbose", verbose, "Tell all that is complained of");
  if (const auto code = line.Parse(argc, argv)) return *code;
  return coppice::sim::Campaign(only, options, verbose).Run(jobs) ? 0 : 1;
}
