#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/failpoint.h"
#include "common/base/status.h"

namespace coppice::failpoint {

enum class Action : std::uint8_t { kKill, kStop, kDelay, kIoError, kNoSpace, kOn };

struct Rule {
  Action action = Action::kOn;
  std::uint64_t delay_ms = 0;
  std::uint64_t skip = 0;
  std::uint64_t times = UINT64_MAX;
};

// What the file of COPPICE_FAILPOINTS says, and how often each point was passed since. Pure: the
// caller carries out what Pass answers. Thread: one at a time.
class Rules {
 public:
  // Replaces everything, counts included. InvalidArgument names the line; then nothing is armed.
  Status Parse(std::string_view text);

  // The rule that acts at this passage of the point, or null.
  const Rule* Pass(std::string_view name);

 private:
  struct Point {
    Rule rule;
    std::uint64_t passed = 0;
  };
  std::map<std::string, Point, std::less<>> points_;
};

}  // namespace coppice::failpoint
