#pragma once

#include <vector>

#include "common/api/urls.h"
#include "common/base/status.h"
#include "common/node/flags.h"

namespace coppice::node {

// Whether this process may listen on all the addresses that it was given: binds them, all at once,
// and lets them go. Called before anything is made on disk, since log and store name the node of
// the peer address they were made with, and who has to choose another port must find nothing in the
// way. Listening itself may still fail, if somebody takes a port in between. An address given
// twice, or that cannot be bound: an error that names it and says what to do. Thread: main's.
Status CheckListening(const CommonFlags& flags, const std::vector<api::Url>& peer_urls);

}  // namespace coppice::node
