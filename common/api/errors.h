#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/status.h"
#include "common/mvcc/ops.h"

namespace coppice::api {

// etcd's errors. Clients map them by the message, so code and text are part of the ABI: they are
// those of etcd's api/v3rpc/rpctypes/error.go.
enum class EtcdError : std::uint8_t {
  kEmptyKey,
  kKeyNotFound,
  kValueProvided,
  kLeaseProvided,
  kTooManyOps,
  kDuplicateKey,
  kInvalidClientApiVersion,
  kInvalidSortOption,
  kCompacted,
  kFutureRev,
  kNoSpace,
  kLeaseNotFound,
  kLeaseExist,
  kLeaseTtlTooLarge,
  kWatchCanceled,
  kMemberExist,
  kPeerUrlExist,
  kMemberNotEnoughStarted,
  kMemberBadUrls,
  kMemberNotFound,
  kMemberNotLearner,
  kLearnerNotReady,
  kTooManyLearners,
  kClusterIdMismatch,
  kRequestTooLarge,
  kRequestTooManyRequests,
  kRootUserNotExist,
  kRootRoleNotExist,
  kUserAlreadyExist,
  kUserEmpty,
  kUserNotFound,
  kRoleAlreadyExist,
  kRoleNotFound,
  kRoleEmpty,
  kAuthFailed,
  kPermissionNotGiven,
  kPermissionDenied,
  kRoleNotGranted,
  kPermissionNotGranted,
  kAuthNotEnabled,
  kInvalidAuthToken,
  kInvalidAuthMgmt,
  kAuthOldRevision,
  kNoLeader,
  kNotLeader,
  kLeaderChanged,
  kNotCapable,
  kStopped,
  kTimeout,
  kTimeoutDueToLeaderFail,
  kTimeoutDueToConnectionLost,
  kTimeoutWaitAppliedIndex,
  kUnhealthy,
  kCorrupt,
  kNotSupportedForLearner,
  kBadLeaderTransferee,
  kWrongDowngradeVersionFormat,
  kInvalidDowngradeTargetVersion,
  kClusterVersionUnavailable,
  kDowngradeInProcess,
  kNoInflightDowngrade,
  kCanceled,
  kDeadlineExceeded,
};

struct EtcdErrorInfo {
  EtcdError error;
  StatusCode code;
  std::string_view message;
  std::string_view raised_by;  // where Coppice raises it; empty if what would is not built
};

// In the order of EtcdError.
std::span<const EtcdErrorInfo> EtcdErrors();

Status ToStatus(EtcdError error);
Status ToStatus(mvcc::Error error);  // kNone: OK

// Internal, as a gRPC server answers bytes that are not the method's message.
Status Malformed(std::string_view message_name);

}  // namespace coppice::api
