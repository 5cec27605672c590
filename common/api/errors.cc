#include "common/api/errors.h"

#include <array>
#include <string>

#include "common/base/check.h"

namespace coppice::api {
namespace {

constexpr auto kErrors = std::to_array<EtcdErrorInfo>({
    {EtcdError::kEmptyKey, StatusCode::kInvalidArgument, "etcdserver: key is not provided",
     "CheckRange, CheckPut, CheckDelete, CheckTxn"},
    {EtcdError::kKeyNotFound, StatusCode::kInvalidArgument, "etcdserver: key not found",
     "mvcc::Error::kKeyNotFound; CheckTxn: an operation that is not set"},
    {EtcdError::kValueProvided, StatusCode::kInvalidArgument, "etcdserver: value is provided",
     "CheckPut"},
    {EtcdError::kLeaseProvided, StatusCode::kInvalidArgument, "etcdserver: lease is provided",
     "CheckPut"},
    {EtcdError::kTooManyOps, StatusCode::kInvalidArgument,
     "etcdserver: too many operations in txn request", "CheckTxn"},
    {EtcdError::kDuplicateKey, StatusCode::kInvalidArgument,
     "etcdserver: duplicate key given in txn request", "CheckTxn"},
    {EtcdError::kInvalidClientApiVersion, StatusCode::kInvalidArgument,
     "etcdserver: invalid client api version", ""},
    {EtcdError::kInvalidSortOption, StatusCode::kInvalidArgument, "etcdserver: invalid sort option",
     "CheckRange"},
    {EtcdError::kCompacted, StatusCode::kOutOfRange,
     "etcdserver: mvcc: required revision has been compacted", "mvcc::Error::kCompacted"},
    {EtcdError::kFutureRev, StatusCode::kOutOfRange,
     "etcdserver: mvcc: required revision is a future revision",
     "mvcc::Error::kFutureRevision; a session revision that never came"},
    {EtcdError::kNoSpace, StatusCode::kResourceExhausted,
     "etcdserver: mvcc: database space exceeded", "mvcc::Error::kNoSpace"},
    {EtcdError::kLeaseNotFound, StatusCode::kNotFound, "etcdserver: requested lease not found",
     "mvcc::Error::kLeaseNotFound"},
    {EtcdError::kLeaseExist, StatusCode::kFailedPrecondition, "etcdserver: lease already exists",
     ""},
    {EtcdError::kLeaseTtlTooLarge, StatusCode::kOutOfRange, "etcdserver: too large lease TTL", ""},
    {EtcdError::kWatchCanceled, StatusCode::kCancelled, "etcdserver: watch canceled", ""},
    {EtcdError::kMemberExist, StatusCode::kFailedPrecondition,
     "etcdserver: member ID already exist", ""},
    {EtcdError::kPeerUrlExist, StatusCode::kFailedPrecondition,
     "etcdserver: Peer URLs already exists", ""},
    {EtcdError::kMemberNotEnoughStarted, StatusCode::kFailedPrecondition,
     "etcdserver: re-configuration failed due to not enough started members", ""},
    {EtcdError::kMemberBadUrls, StatusCode::kInvalidArgument,
     "etcdserver: given member URLs are invalid", ""},
    {EtcdError::kMemberNotFound, StatusCode::kNotFound, "etcdserver: member not found", ""},
    {EtcdError::kMemberNotLearner, StatusCode::kFailedPrecondition,
     "etcdserver: can only promote a learner member", ""},
    {EtcdError::kLearnerNotReady, StatusCode::kFailedPrecondition,
     "etcdserver: can only promote a learner member which is in sync with leader", ""},
    {EtcdError::kTooManyLearners, StatusCode::kFailedPrecondition,
     "etcdserver: too many learner members in cluster", ""},
    {EtcdError::kClusterIdMismatch, StatusCode::kFailedPrecondition,
     "etcdserver: cluster ID mismatch", ""},
    {EtcdError::kRequestTooLarge, StatusCode::kInvalidArgument, "etcdserver: request is too large",
     "CheckSize"},
    {EtcdError::kRequestTooManyRequests, StatusCode::kResourceExhausted,
     "etcdserver: too many requests", "a full queue"},
    {EtcdError::kRootUserNotExist, StatusCode::kFailedPrecondition,
     "etcdserver: root user does not exist", ""},
    {EtcdError::kRootRoleNotExist, StatusCode::kFailedPrecondition,
     "etcdserver: root user does not have root role", ""},
    {EtcdError::kUserAlreadyExist, StatusCode::kFailedPrecondition,
     "etcdserver: user name already exists", ""},
    {EtcdError::kUserEmpty, StatusCode::kInvalidArgument, "etcdserver: user name is empty", ""},
    {EtcdError::kUserNotFound, StatusCode::kFailedPrecondition, "etcdserver: user name not found",
     ""},
    {EtcdError::kRoleAlreadyExist, StatusCode::kFailedPrecondition,
     "etcdserver: role name already exists", ""},
    {EtcdError::kRoleNotFound, StatusCode::kFailedPrecondition, "etcdserver: role name not found",
     ""},
    {EtcdError::kRoleEmpty, StatusCode::kInvalidArgument, "etcdserver: role name is empty", ""},
    {EtcdError::kAuthFailed, StatusCode::kInvalidArgument,
     "etcdserver: authentication failed, invalid user ID or password", ""},
    {EtcdError::kPermissionNotGiven, StatusCode::kInvalidArgument,
     "etcdserver: permission not given", ""},
    {EtcdError::kPermissionDenied, StatusCode::kPermissionDenied, "etcdserver: permission denied",
     ""},
    {EtcdError::kRoleNotGranted, StatusCode::kFailedPrecondition,
     "etcdserver: role is not granted to the user", ""},
    {EtcdError::kPermissionNotGranted, StatusCode::kFailedPrecondition,
     "etcdserver: permission is not granted to the role", ""},
    {EtcdError::kAuthNotEnabled, StatusCode::kFailedPrecondition,
     "etcdserver: authentication is not enabled", ""},
    {EtcdError::kInvalidAuthToken, StatusCode::kUnauthenticated, "etcdserver: invalid auth token",
     ""},
    {EtcdError::kInvalidAuthMgmt, StatusCode::kInvalidArgument,
     "etcdserver: invalid auth management", ""},
    {EtcdError::kAuthOldRevision, StatusCode::kInvalidArgument,
     "etcdserver: revision of auth store is old", ""},
    {EtcdError::kNoLeader, StatusCode::kUnavailable, "etcdserver: no leader",
     "hasleader without a leader; a write that finds none"},
    {EtcdError::kNotLeader, StatusCode::kFailedPrecondition, "etcdserver: not leader",
     "MoveLeader at a follower"},
    {EtcdError::kLeaderChanged, StatusCode::kUnavailable, "etcdserver: leader changed",
     "a leader that stepped down"},
    {EtcdError::kNotCapable, StatusCode::kFailedPrecondition, "etcdserver: not capable", ""},
    {EtcdError::kStopped, StatusCode::kUnavailable, "etcdserver: server stopped",
     "a node that shuts down; an answer given up"},
    {EtcdError::kTimeout, StatusCode::kUnavailable, "etcdserver: request timed out",
     "Edge: the default deadline"},
    {EtcdError::kTimeoutDueToLeaderFail, StatusCode::kUnavailable,
     "etcdserver: request timed out, possibly due to previous leader failure", ""},
    {EtcdError::kTimeoutDueToConnectionLost, StatusCode::kUnavailable,
     "etcdserver: request timed out, possibly due to connection lost",
     "a proxy that lost who did a write"},
    {EtcdError::kTimeoutWaitAppliedIndex, StatusCode::kUnavailable,
     "etcdserver: request timed out, waiting for the applied index took too long", ""},
    {EtcdError::kUnhealthy, StatusCode::kUnavailable, "etcdserver: unhealthy cluster", ""},
    {EtcdError::kCorrupt, StatusCode::kDataLoss, "etcdserver: corrupt cluster",
     "mvcc::Error::kCorrupt"},
    {EtcdError::kNotSupportedForLearner, StatusCode::kFailedPrecondition,
     "etcdserver: rpc not supported for learner", "MoveLeader at a learner"},
    {EtcdError::kBadLeaderTransferee, StatusCode::kFailedPrecondition,
     "etcdserver: bad leader transferee", "MoveLeader"},
    {EtcdError::kWrongDowngradeVersionFormat, StatusCode::kInvalidArgument,
     "etcdserver: wrong downgrade target version format", ""},
    {EtcdError::kInvalidDowngradeTargetVersion, StatusCode::kInvalidArgument,
     "etcdserver: invalid downgrade target version", ""},
    {EtcdError::kClusterVersionUnavailable, StatusCode::kFailedPrecondition,
     "etcdserver: cluster version not found during downgrade", ""},
    {EtcdError::kDowngradeInProcess, StatusCode::kFailedPrecondition,
     "etcdserver: cluster has a downgrade job in progress", ""},
    {EtcdError::kNoInflightDowngrade, StatusCode::kFailedPrecondition,
     "etcdserver: no inflight downgrade job", ""},
    {EtcdError::kCanceled, StatusCode::kCancelled, "etcdserver: request canceled", ""},
    {EtcdError::kDeadlineExceeded, StatusCode::kDeadlineExceeded,
     "etcdserver: context deadline exceeded", ""},
});

constexpr bool InOrder() {
  for (std::size_t i = 0; i < kErrors.size(); ++i) {
    if (static_cast<std::size_t>(kErrors[i].error) != i) return false;
  }
  return true;
}
static_assert(InOrder(), "ToStatus indexes the table");

}  // namespace

std::span<const EtcdErrorInfo> EtcdErrors() {
  return kErrors;
}

Status ToStatus(EtcdError error) {
  const EtcdErrorInfo& info = kErrors[static_cast<std::size_t>(error)];
  return MakeStatus(info.code, info.message);
}

Status ToStatus(mvcc::Error error) {
  switch (error) {
    case mvcc::Error::kNone:
      return OkStatus();
    case mvcc::Error::kCompacted:
      return ToStatus(EtcdError::kCompacted);
    case mvcc::Error::kFutureRevision:
      return ToStatus(EtcdError::kFutureRev);
    case mvcc::Error::kNoSpace:
      return ToStatus(EtcdError::kNoSpace);
    case mvcc::Error::kKeyNotFound:
      return ToStatus(EtcdError::kKeyNotFound);
    case mvcc::Error::kLeaseNotFound:
      return ToStatus(EtcdError::kLeaseNotFound);
    case mvcc::Error::kCorrupt:
      return ToStatus(EtcdError::kCorrupt);
  }
  COPPICE_CHECK(false, "every mvcc::Error has its status");
}

Status Malformed(std::string_view message_name) {
  return MakeStatus(StatusCode::kInternal,
                    "grpc: error unmarshalling request: not a valid " + std::string(message_name));
}

}  // namespace coppice::api
