// coppice-sim-mutants: shows that the checkers find each of the mistakes that common/base/mutant.h
// can make (docs/correctness.md).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutant.h"
#include "loadgen/sim/jobs.h"

namespace coppice::sim {
namespace {

struct Planted {
  Mutant mutant;
  std::string_view name;
};

constexpr Planted kPlanted[] = {
    {Mutant::kCountLearnerAck, "kCountLearnerAck"},
    {Mutant::kCommitOldTerm, "kCommitOldTerm"},
    {Mutant::kSkipOwnTermCheck, "kSkipOwnTermCheck"},
    {Mutant::kRoundBeforeReceipt, "kRoundBeforeReceipt"},
    {Mutant::kReuseReadId, "kReuseReadId"},
    {Mutant::kServeBeforeApplied, "kServeBeforeApplied"},
    {Mutant::kStampAfterProbe, "kStampAfterProbe"},
    {Mutant::kTakeRelaysStamp, "kTakeRelaysStamp"},
    {Mutant::kAckBeforeFsync, "kAckBeforeFsync"},
    {Mutant::kReplyBeforeCommit, "kReplyBeforeCommit"},
    {Mutant::kVoteBeforeSave, "kVoteBeforeSave"},
    {Mutant::kDropDirectoryFsync, "kDropDirectoryFsync"},
    {Mutant::kCutDamagedLog, "kCutDamagedLog"},
    {Mutant::kResumeWatchLate, "kResumeWatchLate"},
    {Mutant::kResumeWatchEarly, "kResumeWatchEarly"},
    {Mutant::kProgressAhead, "kProgressAhead"},
    {Mutant::kSplitRevision, "kSplitRevision"},
    {Mutant::kJoinSeesPastTwice, "kJoinSeesPastTwice"},
    {Mutant::kHalfTransaction, "kHalfTransaction"},
    {Mutant::kCompactWrongBoundary, "kCompactWrongBoundary"},
    {Mutant::kRewriteHeader, "kRewriteHeader"},
    {Mutant::kAdmitByEarlierClock, "kAdmitByEarlierClock"},
    {Mutant::kServePastBound, "kServePastBound"},
    {Mutant::kApplyPastDisk, "kApplyPastDisk"},
    {Mutant::kSendTwice, "kSendTwice"},
    {Mutant::kAdmitByAnotherView, "kAdmitByAnotherView"},
    {Mutant::kHeaderGoesBack, "kHeaderGoesBack"},
};
static_assert(std::size(kPlanted) == static_cast<std::size_t>(Mutant::kEnd));

struct Verdict {
  std::set<std::string> killed_by;
  std::uint64_t seeds = 0;
};

// Seeds from 1 on until one shows the mistake. The workers are forked after the switch is set.
Verdict Hunt(Mutant mutant, int jobs, std::uint64_t budget) {
  t_active_mutant = mutant;
  Verdict verdict;
  std::uint64_t next_seed = 1;
  JobOptions options;
  options.jobs = jobs;
  RunJobs(
      options,
      [&](std::uint64_t& seed, bool& again) {
        again = false;
        if (!verdict.killed_by.empty() || next_seed > budget) return false;
        seed = next_seed++;
        return true;
      },
      [&](const SeedResult& result) {
        if (verdict.killed_by.empty()) ++verdict.seeds;
        if (!result.crash.empty()) verdict.killed_by.insert("invariant (" + result.crash + ")");
        for (const Violation& violation : result.run.violations) {
          verdict.killed_by.insert(violation.property);
        }
      });
  t_active_mutant.reset();
  return verdict;
}

int RunAll(std::string_view only, int jobs, std::uint64_t budget) {
  int survivors = 0;
  fmt::print("| mutant | killed by | seeds needed |\n|---|---|---|\n");
  for (const Planted& planted : kPlanted) {
    if (!only.empty() && planted.name != only) continue;
    const Verdict verdict = Hunt(planted.mutant, jobs, budget);
    survivors += verdict.killed_by.empty() ? 1 : 0;
    fmt::print("| {} | {} | {} |\n", planted.name,
               verdict.killed_by.empty() ? "SURVIVED"
                                         : fmt::format("{}", fmt::join(verdict.killed_by, ", ")),
               verdict.seeds);
    std::fflush(stdout);
  }
  return survivors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace coppice::sim

int main(int argc, char** argv) {
  CLI::App app("Breaks one rule after the other and shows that the checkers find it");
  std::string only;
  int jobs = 1;
  std::uint64_t budget = 60;
  app.add_option("--only", only, "This mutant alone");
  app.add_option("--jobs", jobs, "Seeds at a time");
  app.add_option("--budget", budget, "Seeds for each mutant");
  CLI11_PARSE(app, argc, argv);
  return coppice::sim::RunAll(only, jobs, budget);
}
