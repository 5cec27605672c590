#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "common/raft/core.h"

namespace coppice::raft {

// How scenarios write things down. For tests.
std::string Describe(const Message& message);
std::string Describe(const std::vector<EntryPtr>& entries);  // "3/1 4/1": index/term
std::string Describe(const Configuration& configuration);
const char* Describe(Role role);

}  // namespace coppice::raft
