#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loadgen/history.h"

namespace coppice::loadgen {

struct Violation {
  std::string rule;  // one word: stale-read, over-bound, lost-write, ...
  std::string what;  // the records that show it
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
  std::vector<Violation> violations;  // up to kViolationsMax
  std::uint64_t violations_left_out = 0;

  static constexpr std::size_t kViolationsMax = 50;
  void Add(std::string_view rule, std::string what);
  bool Has(std::string_view rule) const;
};

// Every checker over one history. O(n log n).
CheckReport CheckHistory(const History& history);

std::string FormatReport(const CheckReport& report);

}  // namespace coppice::loadgen
