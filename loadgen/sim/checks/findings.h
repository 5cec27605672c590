#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "loadgen/acknowledged.h"
#include "loadgen/sim/clients/record.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {

// Where a revision was seen: an operation, or a stream.
struct Seen {
  const OpRecord* op = nullptr;
  const StreamRecord* stream = nullptr;
};
using Acks = loadgen::Acknowledged<Seen>;

std::string Describe(const Seen& seen);

// Violations as they are found: a few of each property, as one cause makes many. Each is reported
// with what clients saw around it.
class Findings {
 public:
  explicit Findings(const RunHistory& history) : history_(history) {}

  // `at`: true time, for the trace around it; 0: none.
  void Add(std::string_view property, Time at, std::string what);
  std::vector<Violation> Take() { return std::move(found_); }
  const std::vector<Violation>& found() const { return found_; }

 private:
  std::string Around(Time at) const;

  static constexpr int kOfOneMax = 3;
  const RunHistory& history_;
  std::vector<Violation> found_;
  std::map<std::string, int, std::less<>> counts_;
};

}  // namespace coppice::sim
