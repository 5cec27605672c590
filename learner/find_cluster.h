#pragma once

#include <cstdint>
#include <vector>

#include "common/api/urls.h"
#include "common/base/status.h"
#include "common/io/transport.h"

namespace coppice::learner {

// Asks the upstreams in turn, until one answers, which cluster they belong to; waits up to
// `patience` for one to come up. A loop of its own, before the process's own run: blocks.
StatusOr<std::uint64_t> FindCluster(const io::TransportOptions& transport,
                                    const std::vector<api::Url>& upstream,
                                    Micros patience = 60 * kSecond);

}  // namespace coppice::learner
