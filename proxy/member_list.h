#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/replica/registry.h"

namespace coppice::proxy {

// A MemberListResponse as clients of a proxy are to see it: where proxies are registered with
// client addresses, those stand as the client URLs of every voter, so that a client that syncs its
// endpoints stays on the proxies. Learners are left as they are: clients
// drop members with isLearner. False, and `out` untouched, if nothing has to change.
bool ShowProxies(std::span<const std::string_view> response, const replica::Registry& registry,
                 std::string& out);

}  // namespace coppice::proxy
