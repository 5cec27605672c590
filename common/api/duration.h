#pragma once

#include <string>
#include <string_view>

#include "common/base/time.h"

namespace coppice::api {

// "250ms", "2s", "1m", "500us", "1h": digits and one unit. False for anything else, a sign and a
// duration above 100 years included.
bool ParseDuration(std::string_view text, Micros& out);

// As a trailer says it: whole milliseconds, rounded up so that nothing looks fresher than it was;
// microseconds below one millisecond. The result is what ParseDuration reads.
std::string FormatDuration(Micros duration);

}  // namespace coppice::api
