#include "loadgen/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace coppice::loadgen {

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
  (void)history;
  return report;
}

std::string FormatReport(const CheckReport& report) {
  return fmt::format("{} puts", report.puts);
}

}  // namespace coppice::loadgen
