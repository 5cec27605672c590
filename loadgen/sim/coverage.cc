#include "loadgen/sim/coverage.h"

#include <algorithm>

#include "common/base/check.h"

namespace coppice::sim {

const std::vector<CoverageLine>& CoverageLines() {
  static const std::vector<CoverageLine> kLines = {
      {"elections", "a voter became leader"},
  };
  return kLines;
}

void Coverage::Add(std::string_view name, std::uint64_t count) {
  const auto& lines = CoverageLines();
  COPPICE_CHECK(std::any_of(lines.begin(), lines.end(),
                            [name](const CoverageLine& line) { return line.name == name; }),
                "coverage lines are declared in coverage.cc");
  if (count == 0) return;
  counts_[std::string(name)] += count;
}

std::uint64_t Coverage::Get(std::string_view name) const {
  const auto at = counts_.find(name);
  return at == counts_.end() ? 0 : at->second;
}

void Coverage::Merge(const Coverage& other) {
  for (const auto& [name, count] : other.counts_) counts_[name] += count;
}

}  // namespace coppice::sim
