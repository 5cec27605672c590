// coppice-sim: the whole cluster in one thread, by seeds (docs/correctness.md).
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <string>

#include "common/base/rng.h"
#include "common/node/command_line.h"
#include "loadgen/sim/jobs.h"
#include "loadgen/sim/plan.h"
#include "loadgen/sim/shrink.h"

namespace coppice::sim {
namespace {

constexpr std::uint64_t kTwiceEvery = 20;
constexpr double kInvalidMax = 0.05;

struct Flags {
  std::uint64_t seed = 0;
  std::string seeds;
  int jobs = 1;
  double minutes = 0;
  bool shrink = false;
  bool steps = false;
  std::uint64_t budget = 1500;
  RunOptions run;
};

std::string Replay(const RunOptions& run, std::uint64_t seed) {
  std::string command = fmt::format("coppice-sim --seed {}", seed);
  if (run.fault_kinds_off != 0) command += fmt::format(" --without {}", run.fault_kinds_off);
  const auto add = [&command](const char* flag, int value) {
    if (value >= 0) command += fmt::format(" {} {}", flag, value);
  };
  add("--voters", run.voters);
  add("--learners", run.learners);
  add("--proxies", run.proxies);
  add("--clients", run.clients);
  if (run.operations_max != UINT64_MAX)
    command += fmt::format(" --operations {}", run.operations_max);
  return command;
}

void PrintViolations(const RunResult& run) {
  for (const Violation& violation : run.violations) {
    fmt::print("  {}: {}\n", violation.property, violation.what);
  }
}

int RunOne(const Flags& flags) {
  RunOptions run = flags.run;
  run.seed = flags.seed;
  if (flags.steps) run.trace_file = "-";
  const RunResult result = RunSeed(run);
  fmt::print("seed {}: {}\n{} operations, {} events, trace {:016x}{}\n", flags.seed, result.plan,
             result.succeeded, result.events, result.trace_hash,
             result.valid ? "" : ", INVALID: too little was done");
  if (!result.failed()) return result.valid ? 0 : 3;
  PrintViolations(result);
  if (flags.shrink) {
    const RunOptions small = Shrink(run, result.violations.front().property, [](const auto& text) {
      fmt::print("{}\n", text);
      std::fflush(stdout);
    });
    fmt::print("shrunk: {}\n", Replay(small, flags.seed));
  }
  return 1;
}

// Many seeds: what they said, and the table of coverage.
class Campaign {
 public:
  Campaign(const Flags& flags, std::uint64_t first, std::uint64_t last)
      : flags_(flags), next_(first), last_(last) {}

  int Run() {
    JobOptions options;
    options.jobs = flags_.jobs;
    options.run = [run = flags_.run](std::uint64_t seed) mutable {
      run.seed = seed;
      return RunSeed(run);
    };
    RunJobs(
        options, [this](std::uint64_t& seed, bool& again) { return Next(seed, again); },
        [this](const SeedResult& result) { Done(result); });
    return Report();
  }

 private:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  bool Next(std::uint64_t& seed, bool& again) {
    again = !twice_.empty();
    if (again) {
      seed = twice_.front();
      twice_.pop_front();
      return true;
    }
    if (next_ > last_ || (flags_.minutes > 0 && Seconds() > flags_.minutes * 60)) return false;
    seed = next_++;
    return true;
  }

  void Done(const SeedResult& result) {
    events_ += result.run.events;
    if (result.again) return CheckTwice(result);
    ++seeds_;
    if (!result.crash.empty()) return Failed(result.seed, "aborted: " + result.crash, nullptr);
    if (!result.run.valid && !result.run.failed()) ++invalid_;
    coverage_.Merge(result.run.coverage);
    traces_ += Mix64(Mix64(result.seed) ^ result.run.trace_hash);  // in any order
    if (result.run.failed()) {
      const Violation& first = result.run.violations.front();
      Failed(result.seed, first.property + ": " + first.what, &result.run);
    } else if (result.seed % kTwiceEvery == 0) {
      hashes_[result.seed] = result.run.trace_hash;
      twice_.push_back(result.seed);
    }
    if (Seconds() - said_ < 10) return;
    said_ = Seconds();
    Progress();
  }

  void CheckTwice(const SeedResult& result) {
    ++twice_runs_;
    if (result.crash.empty() && result.run.trace_hash == hashes_[result.seed]) return;
    Failed(result.seed,
           fmt::format("not deterministic: trace {:016x}, then {:016x}", hashes_[result.seed],
                       result.run.trace_hash),
           nullptr);
  }

  void Failed(std::uint64_t seed, const std::string& what, const RunResult* run) {
    ++failures_;
    fmt::print("FAIL {} # {}\n", Replay(flags_.run, seed), what.substr(0, what.find('\n')));
    if (run != nullptr && failures_ <= 3) PrintViolations(*run);
    std::fflush(stdout);
  }

  void Progress() const {
    fmt::print("{} seeds, {} failed, {:.2f} seeds/s, {:.0f} events/s\n", seeds_, failures_,
               static_cast<double>(seeds_) / Seconds(), static_cast<double>(events_) / Seconds());
    std::fflush(stdout);
  }

  int Report() {
    fmt::print("\n{:<40} {:>12}\n", "met", "times");
    bool zero = false;
    for (const CoverageLine& line : CoverageLines()) {
      const std::uint64_t count = coverage_.Get(line.name);
      zero = zero || count == 0;
      fmt::print("{:<40} {:>12}{}\n", line.name, count, count == 0 ? "  NEVER MET" : "");
    }
    const double share =
        seeds_ == 0 ? 1 : static_cast<double>(invalid_) / static_cast<double>(seeds_);
    fmt::print(
        "\n{} seeds in {:.1f} s ({} of them twice), {} failed, {} invalid ({:.1f} %), "
        "traces {:016x}\n",
        seeds_, Seconds(), twice_runs_, failures_, invalid_, share * 100, traces_);
    Progress();
    if (failures_ > 0) return 1;
    if (share >= kInvalidMax) return 3;
    return zero && seeds_ >= flags_.budget ? 4 : 0;
  }

  const Flags& flags_;
  std::uint64_t next_;
  const std::uint64_t last_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double said_ = 0;
  std::uint64_t seeds_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t invalid_ = 0;
  std::uint64_t twice_runs_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t traces_ = 0;  // of all seeds' traces
  Coverage coverage_;
  std::deque<std::uint64_t> twice_;
  std::map<std::uint64_t, std::uint64_t> hashes_;
};

bool ParseRange(const std::string& text, std::uint64_t& first, std::uint64_t& last) {
  const std::size_t dots = text.find("..");
  if (dots == std::string::npos) return false;
  char* end = nullptr;
  first = std::strtoull(text.c_str(), &end, 10);
  if (end != text.c_str() + dots) return false;
  last = std::strtoull(text.c_str() + dots + 2, &end, 10);
  return *end == '\0' && first <= last;
}

void AddFlags(node::CommandLine& line, Flags& flags) {
  line.Number("--seed", flags.seed, "Run one seed");
  line.Text("--seeds", flags.seeds, "Run many: FIRST..LAST");
  line.NumberIn("--jobs", flags.jobs, 1, 256, "Processes that run seeds");
  line.Number("--minutes", flags.minutes, "Begin no new seed after so long");
  line.Number("--budget", flags.budget, "From so many seeds on, a line never met fails the run");
  line.Switch("--shrink", flags.shrink, "Find less that still fails as --seed does");
  line.Switch("--steps", flags.steps, "Print every event of --seed");
  line.Text("--trace", flags.run.trace_file, "Write every event of --seed to this file");
  line.Number("--without", flags.run.fault_kinds_off, "Fault kinds to leave out, as bits");
  line.Number("--voters", flags.run.voters, "Instead of what the seed says");
  line.Number("--learners", flags.run.learners, "Instead of what the seed says");
  line.Number("--proxies", flags.run.proxies, "Instead of what the seed says");
  line.Number("--clients", flags.run.clients, "Instead of what the seed says");
  line.Number("--operations", flags.run.operations_max, "Begin no more than so many");
}

int Main(int argc, char** argv) {
  Flags flags;
  node::CommandLine line("The whole cluster in a deterministic simulator (docs/correctness.md)",
                         "coppice-sim");
  AddFlags(line, flags);
  if (const auto code = line.Parse(argc, argv)) return *code;
  if (flags.seeds.empty() && flags.minutes == 0) return RunOne(flags);
  std::uint64_t first = flags.seed;
  std::uint64_t last = UINT64_MAX - 1;
  if (!flags.seeds.empty() && !ParseRange(flags.seeds, first, last)) {
    fmt::print(stderr, "--seeds {}: FIRST..LAST is expected\n", flags.seeds);
    return 2;
  }
  return Campaign(flags, first, last).Run();
}

}  // namespace
}  // namespace coppice::sim

int main(int argc, char** argv) {
  return coppice::sim::Main(argc, argv);
}
