#pragma once

#include "common/base/rng.h"
#include "common/client/types.h"

namespace coppice::client {

// What a failed attempt means for its request.
enum class Verdict : std::uint8_t {
  kRepeat,         // it may be sent again
  kFinishNotDone,  // the answer is final, and nothing was changed
  kFinishUnknown,  // a mutation that may have been done
};

// As etcd's clientv3/retry.go decides it, except where more is known here than there:
//   reads      again after Unavailable, whatever the message, as there; and after "too many
//              requests", which is no answer to the question.
//   mutations  again only when certainly not done: no byte of it left (clientv3's "there is no
//              address available"), or the server refused before it proposed: "no leader" and "too
//              many requests" are said at no other time, by Coppice and by etcd. Codes that judge
//              the request itself (InvalidArgument, ...) are final. All else may have been done.
//   watches    again unless the code judges the request itself, as clientv3's isHaltErr.
// Pure.
Verdict Judge(Kind kind, const Failed& failed);

// Whether a watch that the server canceled with this reason may be opened again as it is.
bool MayReopen(std::string_view cancel_reason);

// How long to pause before the n-th pass over the endpoints (n from 1): doubling, within the upper
// half of each step so that clients which failed together do not come back together. Microseconds.
struct BackoffOptions {
  Micros first = 25 * kMillisecond;
  Micros max = kSecond;
};
Micros Backoff(const BackoffOptions& options, std::uint32_t pass, Rng& rng);

}  // namespace coppice::client
