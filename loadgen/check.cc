#include "loadgen/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "loadgen/check_keys.h"
#include "loadgen/check_revisions.h"
#include "loadgen/check_sessions.h"
#include "loadgen/check_watches.h"

namespace coppice::loadgen {
namespace {

constexpr std::uint64_t kStepsMax = 20'000'000;  // of one key's search: some seconds

std::string FormatLog(const LogSummary& log) {
  return fmt::format(
      "{} writes, {} reads and {} events compared with the log: {} of its {} entries, up to "
      "revision {} (saved commit index {}, {} entries behind it seen by clients)",
      log.writes, log.reads, log.events, log.counted, log.entries, log.revision, log.commit.value(),
      log.past_commit);
}

}  // namespace

void CheckReport::Add(std::string_view rule, std::string what) {
  if (violations.size() >= kViolationsMax) {
    ++violations_left_out;
    return;
  }
  violations.push_back({std::string(rule), std::move(what)});
}

bool CheckReport::Has(std::string_view rule) const {
  return std::any_of(violations.begin(), violations.end(),
                     [rule](const Violation& violation) { return violation.rule == rule; });
}

CheckReport CheckHistory(const History& history) {
  CheckReport report;
  const WriteModel model(history, report);
  CheckRevisions(history, model, report);
  CheckSessions(history, report);
  CheckWatches(history, model, report);
  CheckKeys(history, kStepsMax, report);
  return report;
}

std::string FormatReport(const CheckReport& report) {
  std::string out;
  for (const Violation& violation : report.violations) {
    out += fmt::format("VIOLATION {}: {}\n", violation.rule, violation.what);
  }
  if (report.violations_left_out > 0) {
    out += fmt::format("and {} more\n", report.violations_left_out);
  }
  out += fmt::format("{} puts ({} of unknown outcome, {} of those seen) on {} keys\n", report.puts,
                     report.unknown_puts, report.resolved_puts, report.keys);
  static constexpr const char* kModes[] = {"linearizable", "bounded", "serializable"};
  for (std::size_t i = 0; i < 3; ++i) {
    out += fmt::format("{} {} reads checked, {} failed\n", report.reads[i], kModes[i],
                       report.failed_reads[i]);
  }
  out += fmt::format("{} reads in {} sessions\n", report.session_reads, report.sessions);
  out += fmt::format("{} events of {} watchers\n", report.events, report.watchers);
  if (report.log) out += FormatLog(*report.log) + "\n";
  out += fmt::format("{} violations", report.violations.size() + report.violations_left_out);
  return out;
}

}  // namespace coppice::loadgen
