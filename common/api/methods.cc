#include "common/api/methods.h"

#include <array>
#include <string>

namespace coppice::api {
namespace {

constexpr MethodInfo Read(Method method, std::string_view path) {
  return {.method = method, .path = path, .retry_safe = true, .built = true};
}
constexpr MethodInfo Write(Method method, std::string_view path) {
  return {.method = method, .path = path, .writes = true, .built = true};
}
constexpr MethodInfo Unbuilt(MethodInfo info) {
  info.built = false;
  return info;
}
constexpr MethodInfo Stream(std::string_view path, bool client_streams, bool built) {
  return {.path = path, .client_streams = client_streams, .server_streams = true, .built = built};
}
constexpr MethodInfo Unnumbered(std::string_view path) {
  return {.path = path, .writes = true};
}
constexpr Method AuthMethod(int position) {
  return static_cast<Method>(static_cast<int>(Method::kAuthFirst) + position);
}

constexpr auto kMethods = std::to_array<MethodInfo>({
    Read(Method::kRange, "/etcdserverpb.KV/Range"),
    Stream("/etcdserverpb.KV/RangeStream", false, false),
    Write(Method::kPut, "/etcdserverpb.KV/Put"),
    Write(Method::kDeleteRange, "/etcdserverpb.KV/DeleteRange"),
    Write(Method::kTxn, "/etcdserverpb.KV/Txn"),
    Write(Method::kCompact, "/etcdserverpb.KV/Compact"),

    Stream("/etcdserverpb.Watch/Watch", true, true),

    Unbuilt(Write(Method::kLeaseGrant, "/etcdserverpb.Lease/LeaseGrant")),
    Unbuilt(Write(Method::kLeaseRevoke, "/etcdserverpb.Lease/LeaseRevoke")),
    Stream("/etcdserverpb.Lease/LeaseKeepAlive", true, false),
    Unbuilt(Read(Method::kLeaseTimeToLive, "/etcdserverpb.Lease/LeaseTimeToLive")),
    Unbuilt(Read(Method::kLeaseLeases, "/etcdserverpb.Lease/LeaseLeases")),

    Unbuilt(Write(Method::kMemberAdd, "/etcdserverpb.Cluster/MemberAdd")),
    Unbuilt(Write(Method::kMemberRemove, "/etcdserverpb.Cluster/MemberRemove")),
    Unbuilt(Write(Method::kMemberUpdate, "/etcdserverpb.Cluster/MemberUpdate")),
    Read(Method::kMemberList, "/etcdserverpb.Cluster/MemberList"),
    Unbuilt(Write(Method::kMemberPromote, "/etcdserverpb.Cluster/MemberPromote")),

    Write(Method::kAlarm, "/etcdserverpb.Maintenance/Alarm"),
    Read(Method::kStatus, "/etcdserverpb.Maintenance/Status"),
    Read(Method::kDefragment, "/etcdserverpb.Maintenance/Defragment"),
    Unbuilt(Read(Method::kHash, "/etcdserverpb.Maintenance/Hash")),
    Read(Method::kHashKv, "/etcdserverpb.Maintenance/HashKV"),
    Stream("/etcdserverpb.Maintenance/Snapshot", false, false),
    Write(Method::kMoveLeader, "/etcdserverpb.Maintenance/MoveLeader"),
    Unbuilt(Write(Method::kDowngrade, "/etcdserverpb.Maintenance/Downgrade")),

    Unbuilt(Write(AuthMethod(0), "/etcdserverpb.Auth/AuthEnable")),
    Unbuilt(Write(AuthMethod(1), "/etcdserverpb.Auth/AuthDisable")),
    Unbuilt(Read(AuthMethod(2), "/etcdserverpb.Auth/AuthStatus")),
    Unbuilt(Read(AuthMethod(3), "/etcdserverpb.Auth/Authenticate")),
    Unbuilt(Write(AuthMethod(4), "/etcdserverpb.Auth/UserAdd")),
    Unbuilt(Read(AuthMethod(5), "/etcdserverpb.Auth/UserGet")),
    Unbuilt(Read(AuthMethod(6), "/etcdserverpb.Auth/UserList")),
    Unbuilt(Write(AuthMethod(7), "/etcdserverpb.Auth/UserDelete")),
    Unbuilt(Write(AuthMethod(8), "/etcdserverpb.Auth/UserChangePassword")),
    Unbuilt(Write(AuthMethod(9), "/etcdserverpb.Auth/UserGrantRole")),
    Unbuilt(Write(AuthMethod(10), "/etcdserverpb.Auth/UserRevokeRole")),
    Unbuilt(Write(AuthMethod(11), "/etcdserverpb.Auth/RoleAdd")),
    Unbuilt(Read(AuthMethod(12), "/etcdserverpb.Auth/RoleGet")),
    Unbuilt(Read(AuthMethod(13), "/etcdserverpb.Auth/RoleList")),
    Unbuilt(Write(AuthMethod(14), "/etcdserverpb.Auth/RoleDelete")),
    Unbuilt(Write(AuthMethod(15), "/etcdserverpb.Auth/RoleGrantPermission")),
    Unbuilt(Write(AuthMethod(16), "/etcdserverpb.Auth/RoleRevokePermission")),

    Unnumbered("/v3lockpb.Lock/Lock"),
    Unnumbered("/v3lockpb.Lock/Unlock"),

    Unnumbered("/v3electionpb.Election/Campaign"),
    Unnumbered("/v3electionpb.Election/Proclaim"),
    Unnumbered("/v3electionpb.Election/Leader"),
    Stream("/v3electionpb.Election/Observe", false, false),
    Unnumbered("/v3electionpb.Election/Resign"),

    {.path = "/grpc.health.v1.Health/Check", .retry_safe = true, .built = true},
    Stream("/grpc.health.v1.Health/Watch", false, true),

    Read(Method::kClusterStatus, "/coppice.Admin/ClusterStatus"),
});

constexpr std::size_t kNumbersEnd = static_cast<std::size_t>(Method::kClusterStatus) + 1;

constexpr std::array<const MethodInfo*, kNumbersEnd> ByNumber() {
  std::array<const MethodInfo*, kNumbersEnd> table{};
  for (const MethodInfo& info : kMethods) {
    if (info.method != Method::kUnknown) table[static_cast<std::size_t>(info.method)] = &info;
  }
  return table;
}
constexpr auto kByNumber = ByNumber();

}  // namespace

std::span<const MethodInfo> Methods() {
  return kMethods;
}

const MethodInfo* FindMethod(Method method) {
  const auto number = static_cast<std::size_t>(method);
  return number < kNumbersEnd ? kByNumber[number] : nullptr;
}

const MethodInfo* FindMethod(std::string_view path) {
  for (const MethodInfo& info : kMethods) {
    if (info.path == path) return &info;
  }
  return nullptr;
}

Status NotImplemented(std::string_view path) {
  return MakeStatus(StatusCode::kUnimplemented,
                    "etcdserver: not implemented yet: " + std::string(path));
}

}  // namespace coppice::api
