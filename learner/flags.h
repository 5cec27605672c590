#pragma once

#include <optional>

#include "learner/learner.h"

namespace coppice::learner {

// Empty: go on with `options`; otherwise the program's exit code, after what is to be said was
// printed.
std::optional<int> ParseFlags(int argc, const char* const* argv, LearnerOptions& options);

}  // namespace coppice::learner
