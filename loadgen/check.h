#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "loadgen/history.h"

namespace coppice::loadgen {

struct Violation {
  std::string rule;  // one word: stale-read, over-bound, lost-write, ...
  std::string what;  // the records that show it
};

// How far a log was taken into account, and how much was held against it.
struct LogSummary {
  std::uint64_t entries = 0;      // in the log
  std::uint64_t counted = 0;      // of those; the rest nobody has seen
  std::uint64_t past_commit = 0;  // of those that counted, behind the saved commit index
  Index commit;
  Revision revision = 0;  // after those that counted
  std::uint64_t writes = 0;
  std::uint64_t reads = 0;
  std::uint64_t events = 0;
};

// What the checkers looked at, and what they found.
struct CheckReport {
  std::uint64_t puts = 0;
  std::uint64_t deletes = 0;
  std::uint64_t unknown_puts = 0;      // no acknowledgement
  std::uint64_t resolved_puts = 0;     // of those, seen by a read or a watch
  std::uint64_t reads[3] = {0, 0, 0};  // answered, by ReadMode
  std::uint64_t failed_reads[3] = {0, 0, 0};
  std::uint64_t events = 0;
  std::uint64_t watchers = 0;
  std::uint64_t keys = 0;
  std::uint64_t sessions = 0;
  std::uint64_t session_reads = 0;
  std::optional<LogSummary> log;      // nothing: there was none to compare with
  std::vector<Violation> violations;  // up to kViolationsMax
  std::uint64_t violations_left_out = 0;

  static constexpr std::size_t kViolationsMax = 50;
  void Add(std::string_view rule, std::string what);
  bool Has(std::string_view rule) const;
};

// Every checker that needs the history alone. O(n log n).
CheckReport CheckHistory(const History& history);

std::string FormatReport(const CheckReport& report);

}  // namespace coppice::loadgen
