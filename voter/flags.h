#pragma once

#include <optional>

#include "voter/voter.h"

namespace coppice::voter {

// etcd's flags with etcd's names, meanings and defaults. Empty: go on with `options`; otherwise the
// program's exit code, after what is to be said was printed.
std::optional<int> ParseFlags(int argc, const char* const* argv, VoterOptions& options);

}  // namespace coppice::voter
