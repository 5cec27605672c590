// coppice-sim-mutants: shows that the checkers find each of the mistakes that common/base/mutant.h
// can make (docs/correctness.md).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutant.h"
#include "common/raft/sim_nemesis.h"
#include "loadgen/sim/jobs.h"
#include "loadgen/sim/mutants.h"

namespace coppice::sim {
namespace {

struct Flags {
  std::string only;
  bool cores = false;
  int jobs = 1;
  std::uint64_t budget = 60;
  std::uint64_t more = 0;
  bool from_one = false;
  bool verbose = false;
};

// What a worker does, in one number.
struct Task {
  std::size_t planted = 0;
  bool control = false;  // the same seed without the mistake
  std::uint64_t seed = 0;

  std::uint64_t Pack() const { return seed << 16 | planted << 1 | (control ? 1 : 0); }
  static Task Unpack(std::uint64_t number) {
    return {number >> 1 & 0x7fff, (number & 1) != 0, number >> 16};
  }
};

RunResult RunTask(std::uint64_t number) {
  const Task task = Task::Unpack(number);
  const Planted& planted = AllPlanted()[task.planted];
  t_active_mutant.reset();
  if (!task.control) t_active_mutant = planted.mutant;
  if (planted.arena == Arena::kCores || getenv("CORES") != nullptr) {
    RunResult result;
    const std::string broken = raft::RunNemesis(task.seed);
    if (!broken.empty()) result.violations.push_back({"Liveness", broken});
    return result;
  }
  RunOptions options;
  options.seed = task.seed;
  options.bias = planted.bias;
  return RunSeed(options);
}

// "signal 6, PATH:LINE: invariant broken: CONDITION (WHY)": the reason is what tells.
std::string NameOfCrash(const std::string& crash) {
  if (crash.starts_with("not done")) return "hang";
  const std::size_t told = crash.find("invariant broken: ");
  if (told == std::string::npos) return "crash: " + crash;
  const std::string_view condition = std::string_view(crash).substr(told + 18);
  const std::size_t why = condition.rfind(" (");
  if (why == std::string_view::npos || !condition.ends_with(')')) {
    return fmt::format("invariant: {}", condition);
  }
  return fmt::format("invariant: {}", condition.substr(why + 2, condition.size() - why - 3));
}

// One mutant's seeds, one after the other. A seed kills it if a checker complains of it with the
// mistake, and of nothing without it.
class Hunt {
 public:
  Hunt(std::size_t planted, const Flags& flags) : planted_(planted), flags_(flags) {
    task_.planted = planted;
    if (spec().known != 0 && !flags.from_one) known_ = spec().known;
  }

  const Planted& spec() const { return AllPlanted()[planted_]; }
  bool busy() const { return busy_; }
  bool over() const { return over_; }
  bool killed() const { return !killed_by_.empty(); }

  Task Next() {
    busy_ = true;
    if (task_.control) return task_;
    task_.seed = known_ != 0 && tried_ == 0 ? known_ : next_seed_++;
    if (task_.seed == known_ && tried_ > 0) task_.seed = next_seed_++;
    return task_;
  }

  // Whether a checker complained that this mistake is the business of.
  bool Tells(const std::set<std::string>& names) const {
    std::string_view left = spec().by;
    while (!left.empty()) {
      const std::string_view name = left.substr(0, left.find(", "));
      left.remove_prefix(std::min(left.size(), name.size() + 2));
      for (const std::string& found : names) {
        const bool aborted = found.starts_with("invariant: ");
        if (aborted ? found.find(name) != std::string::npos : found == name) return true;
      }
    }
    return false;
  }

  void Done(const SeedResult& result) {
    busy_ = false;
    std::set<std::string> names;
    for (const Violation& violation : result.run.violations) names.insert(violation.property);
    if (!result.crash.empty()) names.insert(NameOfCrash(result.crash));
    if (flags_.verbose && !names.empty()) Tell(result, names);
    if (!task_.control) {
      found_ = std::move(names);
      task_.control = Tells(found_);
      if (!task_.control) Tried();
      return;
    }
    task_.control = false;
    if (names.empty()) {
      if (!killed()) killer_ = task_.seed;
      killed_by_.merge(found_);
    } else {
      ++unfit_;
    }
    Tried();
  }

  std::string Row() const {
    const std::string how = killed() ? fmt::format("{}", fmt::join(killed_by_, ", ")) : "SURVIVED";
    std::string seeds = fmt::format("{}", needed_);
    if (killed()) seeds += fmt::format(" (seed {})", killer_);
    return fmt::format("| {} | {} | {} |", spec().name, how, seeds);
  }
  std::uint64_t unfit() const { return unfit_; }

 private:
  void Tried() {
    ++tried_;
    if (needed_ == 0 && killed()) needed_ = tried_;
    if (killed() ? tried_ >= needed_ + flags_.more : tried_ >= flags_.budget) over_ = true;
    if (over_ && !killed()) needed_ = tried_;
  }
  void Tell(const SeedResult& result, const std::set<std::string>& names) const {
    fmt::print("  {}, seed {}{}: {}\n", spec().name, task_.seed, task_.control ? " without it" : "",
               fmt::join(names, ", "));
    for (const Violation& violation : result.run.violations) {
      fmt::print("    {}: {}\n", violation.property,
                 violation.what.substr(0, violation.what.find('\n')));
      if (violation.property == *names.rbegin()) break;
    }
  }

  const std::size_t planted_;
  const Flags& flags_;
  Task task_;
  std::uint64_t known_ = 0;
  std::uint64_t next_seed_ = 1;
  std::uint64_t tried_ = 0;
  std::uint64_t needed_ = 0;  // seeds up to the first that killed it
  std::uint64_t killer_ = 0;
  std::uint64_t unfit_ = 0;  // seeds that fail without it, too
  bool busy_ = false;
  bool over_ = false;
  std::set<std::string> found_;
  std::set<std::string> killed_by_;
};

int RunAll(const Flags& flags) {
  const auto begun = std::chrono::steady_clock::now();
  std::vector<Hunt> hunts;
  for (std::size_t i = 0; i < AllPlanted().size(); ++i) {
    if (AllPlanted()[i].name.find(flags.only) != std::string_view::npos)
      hunts.emplace_back(i, flags);
  }
  fmt::print("| mutant | killed by | seeds needed |\n|---|---|---|\n");
  std::size_t printed = 0;
  JobOptions options;
  options.jobs = flags.jobs;
  options.seconds_max = 30;
  options.run = RunTask;
  RunJobs(
      options,
      [&](std::uint64_t& number, bool& again) {
        again = false;
        for (Hunt& hunt : hunts) {
          if (hunt.busy() || hunt.over()) continue;
          number = hunt.Next().Pack();
          return true;
        }
        return false;
      },
      [&](const SeedResult& result) {
        for (Hunt& hunt : hunts) {
          if (&hunt.spec() == &AllPlanted()[Task::Unpack(result.seed).planted]) hunt.Done(result);
        }
        while (printed < hunts.size() && hunts[printed].over()) {
          fmt::print("{}\n", hunts[printed++].Row());
          std::fflush(stdout);
        }
      });
  std::size_t killed = 0;
  std::uint64_t unfit = 0;
  for (const Hunt& hunt : hunts) {
    killed += hunt.killed() ? 1 : 0;
    unfit += hunt.unfit();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  fmt::print("\n{} of {} mutants killed in {:.0f} s; {} seeds were no proof: they fail without\n",
             killed, hunts.size(), took.count(), unfit);
  return killed == hunts.size() ? 0 : 1;
}

}  // namespace
}  // namespace coppice::sim

int main(int argc, char** argv) {
  coppice::sim::Flags flags;
  CLI::App app("Breaks one rule after the other and shows that the checkers find it");
  app.add_option("--only", flags.only, "Mutants whose name contains this");
  app.add_option("--jobs", flags.jobs, "Seeds at a time")->check(CLI::Range(1, 256));
  app.add_option("--budget", flags.budget, "Seeds for each mutant");
  app.add_option("--more", flags.more, "Seeds beyond the first that kills, for other checkers");
  app.add_flag("--from-one", flags.from_one, "Forget the seeds known to kill");
  app.add_flag("--verbose", flags.verbose, "Tell each seed that fails");
  CLI11_PARSE(app, argc, argv);
  return coppice::sim::RunAll(flags);
}
