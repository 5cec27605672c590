#include "loadgen/sim/shrink.h"

#include <fmt/format.h>

#include <algorithm>

#include "loadgen/sim/plan.h"

namespace coppice::sim {
namespace {

class Shrinker {
 public:
  Shrinker(const RunOptions& failing, std::string property,
           const std::function<void(const std::string&)>& say)
      : best_(failing), property_(std::move(property)), say_(say) {
    best_.trace_file.clear();
  }

  RunOptions Run() {
    DropFaults();
    DropNodes();
    DropOperations();
    return best_;
  }

 private:
  bool Try(const RunOptions& smaller, const std::string& what) {
    const RunResult result = RunSeed(smaller);
    const bool same = std::any_of(result.violations.begin(), result.violations.end(),
                                  [this](const auto& v) { return v.property == property_; });
    if (!same) return false;
    best_ = smaller;
    say_(what);
    return true;
  }

  void DropFaults() {
    const Plan plan = MakePlan(best_.seed, {best_.fault_kinds_off, -1, -1, -1, -1});
    for (int kind = 0; kind < kFaultKinds; ++kind) {
      if (!plan.faults[static_cast<std::size_t>(kind)]) continue;
      RunOptions smaller = best_;
      smaller.fault_kinds_off |= 1U << kind;
      Try(smaller, fmt::format("without {}", FaultName(static_cast<FaultKind>(kind))));
    }
  }

  void DropNodes() {
    const Plan plan =
        MakePlan(best_.seed, {0, best_.voters, best_.learners, best_.proxies, best_.clients});
    Lower(&RunOptions::learners, plan.learners, 0, "learners");
    Lower(&RunOptions::proxies, plan.proxies, 1, "proxies");
    Lower(&RunOptions::voters, plan.voters, 1, "voters");
    Lower(&RunOptions::clients, plan.clients, 1, "clients");
  }

  void Lower(int RunOptions::*field, int from, int least, const char* what) {
    for (int value = from - 1; value >= least; --value) {
      RunOptions smaller = best_;
      smaller.*field = value;
      if (!Try(smaller, fmt::format("{} {}", value, what))) return;
    }
  }

  void DropOperations() {
    std::uint64_t low = 0;
    std::uint64_t high = RunSeed(best_).succeeded * 4;
    while (low + 1 < high) {
      RunOptions smaller = best_;
      smaller.operations_max = low + (high - low) / 2;
      if (Try(smaller, fmt::format("{} operations", smaller.operations_max))) {
        high = smaller.operations_max;
      } else {
        low = smaller.operations_max;
      }
    }
  }

  RunOptions best_;
  const std::string property_;
  const std::function<void(const std::string&)>& say_;
};

}  // namespace

RunOptions Shrink(const RunOptions& failing, const std::string& property,
                  const std::function<void(const std::string&)>& say) {
  return Shrinker(failing, property, say).Run();
}

}  // namespace coppice::sim
