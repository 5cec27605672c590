#pragma once

#include <span>
#include <string_view>

#include "common/api/node.h"
#include "common/base/status.h"

namespace coppice::api {

// One RPC of those that etcd, Coppice and gRPC's health service define.
struct MethodInfo {
  Method method = Method::kUnknown;  // kUnknown: has no number on the internal wire
  std::string_view path;             // "/etcdserverpb.KV/Range"
  bool client_streams = false;
  bool server_streams = false;
  // Changes replicated state: it goes to the leader, and a try whose outcome is unknown is not
  // sent again. (A Txn counts as a write; one that only reads takes the read path.)
  bool writes = false;
  // Answering twice does no harm: a lost try may be sent elsewhere.
  bool retry_safe = false;
  // Unbuilt ones answer Unimplemented at the edge.
  bool built = false;
};

// All of them, in the order of the .proto files.
std::span<const MethodInfo> Methods();
// Null for a number or a path that is not there. The first is an array access.
const MethodInfo* FindMethod(Method method);
const MethodInfo* FindMethod(std::string_view path);

// Unimplemented, "etcdserver: not implemented yet: /etcdserverpb.Lease/LeaseGrant".
Status NotImplemented(std::string_view path);

}  // namespace coppice::api
