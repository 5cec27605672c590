#pragma once

#include <cstddef>

#include "common/api/methods.h"
#include "common/base/status.h"

namespace coppice::api {

// etcd's defaults (--max-request-bytes, --max-txn-ops).
struct Limits {
  std::size_t request_bytes_max = 3U << 19;  // 1.5 MiB, of a request that is replicated
  int txn_ops_max = 128;
};

// `etcdserver: request is too large` for a mutation above the limit. Reads have only the wire's
// limit (rpc::ServerOptions), as in etcd.
Status CheckSize(const MethodInfo& method, std::size_t request_bytes, const Limits& limits);

}  // namespace coppice::api
