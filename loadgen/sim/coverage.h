#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::sim {

// A line of the coverage table. What is built later adds its own (coverage.cc).
struct CoverageLine {
  std::string_view name;
  std::string_view help;
};

// Every line there is, in the order of the table. A line that stays at zero over the seeds of
// continuous integration fails the run: that part of the product was not tested.
const std::vector<CoverageLine>& CoverageLines();

// What a run met. Thread: one.
class Coverage {
 public:
  // `name` is one of CoverageLines().
  void Add(std::string_view name, std::uint64_t count = 1);
  std::uint64_t Get(std::string_view name) const;
  void Merge(const Coverage& other);
  const std::map<std::string, std::uint64_t, std::less<>>& counts() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace coppice::sim
