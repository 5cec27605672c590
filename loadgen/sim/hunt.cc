#include "loadgen/sim/hunt.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace coppice::sim {
namespace {

constexpr std::string_view kAborts = "aborts: ";

// "signal 6, PATH:LINE: invariant broken: CONDITION (WHY)": the reason is what tells.
std::string NameOfCrash(std::string_view crash) {
  constexpr std::string_view kBroken = "invariant broken: ";
  if (crash.starts_with("not done")) return "hangs";
  const std::size_t told = crash.find(kBroken);
  if (told == std::string_view::npos) return "crashes: " + std::string(crash);
  std::string_view condition = crash.substr(told + kBroken.size());
  const std::size_t why = condition.rfind(" (");
  if (why != std::string_view::npos && condition.ends_with(')')) {
    condition = condition.substr(why + 2, condition.size() - why - 3);
  }
  return std::string(kAborts) + std::string(condition);
}

}  // namespace

std::set<std::string> Complaints(const SeedResult& result) {
  std::set<std::string> names;
  for (const Violation& violation : result.run.violations) names.insert(violation.property);
  if (!result.crash.empty()) names.insert(NameOfCrash(result.crash));
  return names;
}

Hunt::Hunt(const Planted& planted, const HuntOptions& options)
    : planted_(planted), options_(options) {}

Hunt::Run Hunt::Next() {
  busy_ = true;
  if (run_.control) return run_;
  const std::uint64_t known = options_.from_one ? 0 : planted_.known;
  if (known != 0 && tried_ == 0) {
    run_.seed = known;
  } else {
    if (next_seed_ == known) ++next_seed_;
    run_.seed = next_seed_++;
  }
  return run_;
}

void Hunt::Done(const SeedResult& result) {
  busy_ = false;
  std::set<std::string> names = Complaints(result);
  if (!run_.control) {
    found_ = std::move(names);
    run_.control = Counts(found_);
    if (!run_.control) Tried();
    return;
  }
  run_.control = false;
  if (names.empty()) {
    if (!killed()) killer_ = run_.seed;
    killed_by_.merge(found_);
  } else {
    ++unfit_;
  }
  Tried();
}

bool Hunt::Counts(const std::set<std::string>& names) const {
  std::string_view left = planted_.by;
  while (!left.empty()) {
    const std::string_view name = left.substr(0, left.find(", "));
    left.remove_prefix(std::min(left.size(), name.size() + 2));
    if (std::any_of(names.begin(), names.end(), [name](const std::string& found) {
          return found == name || found == std::string(kAborts) + std::string(name);
        })) {
      return true;
    }
  }
  return false;
}

void Hunt::Tried() {
  ++tried_;
  if (needed_ == 0 && killed()) needed_ = tried_;
  over_ = killed() ? tried_ >= needed_ + options_.more : tried_ >= options_.budget;
}

}  // namespace coppice::sim
