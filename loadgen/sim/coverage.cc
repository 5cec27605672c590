#include "loadgen/sim/coverage.h"

#include <algorithm>

#include "common/base/check.h"

namespace coppice::sim {

const std::vector<CoverageLine>& CoverageLines() {
  static const std::vector<CoverageLine> kLines = {
      {"elections", "a voter became leader"},
      // Of the clients (clients/workload.cc).
      {"operations", "requests that succeeded"},
      {"reads-repeated", "a read was sent again after it failed"},
      {"outcomes-unknown", "a mutation whose client does not know whether it was done"},
      {"reads-bounded", "bounded reads answered"},
      {"reads-in-session", "reads with a session revision answered"},
      {"refused-future", "a read of a revision that is not there yet was refused"},
      {"refused-compacted", "a read of a compacted revision was refused"},
      {"watches-resumed", "a watch went on over another stream"},
      {"watches-compacted", "a watch was canceled because of a compaction"},
      {"watch-events", "events that watches saw"},
      {"watch-progress", "progress responses"},
      {"watch-fragments", "responses that said that more of the revision follows"},
      {"slow-readers", "a watch stream that was not read for a while"},
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
