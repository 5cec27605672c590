#include "common/client/retry.h"

#include <algorithm>

namespace coppice::client {
namespace {

constexpr std::string_view kNoLeader = "etcdserver: no leader";
constexpr std::string_view kTooManyRequests = "etcdserver: too many requests";

bool TooManyRequests(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted && MessageOf(status) == kTooManyRequests;
}

// Codes by which a server says no to the request itself: the next one will say the same.
bool JudgesTheRequest(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kAlreadyExists:
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kOutOfRange:
    case StatusCode::kUnimplemented:
      return true;
    case StatusCode::kResourceExhausted:
      // gRPC uses the code too, for a reply larger than we take: the request is done then.
      return MessageOf(status).substr(0, 11) == "etcdserver:";
    default:
      return false;
  }
}

Verdict JudgeMutation(const Failed& failed) {
  const bool refused = TooManyRequests(failed.status) ||
                       (failed.status.code() == StatusCode::kUnavailable &&
                        (failed.not_sent || MessageOf(failed.status) == kNoLeader));
  if (refused) return Verdict::kRepeat;
  if (failed.not_sent || JudgesTheRequest(failed.status)) return Verdict::kFinishNotDone;
  return Verdict::kFinishUnknown;
}

}  // namespace

Verdict Judge(Kind kind, const Failed& failed) {
  if (kind == Kind::kMutation) return JudgeMutation(failed);
  if (failed.status.code() == StatusCode::kUnavailable || TooManyRequests(failed.status)) {
    return Verdict::kRepeat;
  }
  if (kind == Kind::kRead) return Verdict::kFinishNotDone;
  const bool halts =
      JudgesTheRequest(failed.status) || failed.status.code() == StatusCode::kDataLoss;
  return halts ? Verdict::kFinishNotDone : Verdict::kRepeat;
}

bool MayReopen(std::string_view cancel_reason) {
  return cancel_reason == kNoLeader;
}

Micros Backoff(const BackoffOptions& options, std::uint32_t pass, Rng& rng) {
  const std::uint32_t doublings = std::min<std::uint32_t>(pass > 0 ? pass - 1 : 0, 20);
  const Micros step = std::min(options.first << doublings, options.max);
  return rng.Between(step / 2, step);
}

}  // namespace coppice::client
