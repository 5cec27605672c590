#include "loadgen/sim/checks/findings.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace coppice::sim {
namespace {

constexpr std::size_t kAroundMax = 8;  // operations shown

}  // namespace

std::string Describe(const Seen& seen) {
  if (seen.op != nullptr) return Describe(*seen.op);
  if (seen.stream != nullptr) return Describe(*seen.stream);
  return "nobody";
}

void Findings::Add(std::string_view property, Time at, std::string what) {
  const auto [count, is_new] = counts_.emplace(std::string(property), 0);
  if (++count->second > kOfOneMax) return;
  if (at != 0 && count->second == 1) what += Around(at);
  found_.push_back({std::string(property), std::move(what)});
}

// The operations that ended nearest to that time.
std::string Findings::Around(Time at) const {
  std::vector<std::pair<Time, const OpRecord*>> near;
  for (const auto& op : history_.ops) {
    near.emplace_back(std::min(std::abs(op->end - at), std::abs(op->invoke - at)), op.get());
  }
  const std::size_t shown = std::min(kAroundMax, near.size());
  std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(shown), near.end(),
                    [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first < b.first
                                                : a.second->number < b.second->number;
                    });
  near.resize(shown);
  std::sort(near.begin(), near.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->end, a.second->number) < std::pair(b.second->end, b.second->number);
  });
  std::string out = "\n  around it:";
  for (const auto& [distance, op] : near) out += "\n    " + Describe(*op);
  return out;
}

}  // namespace coppice::sim
