#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/status.h"

namespace etcdserverpb {
class TxnRequest;
}

namespace coppice::api {

// What etcd's server/etcdserver/api/v3rpc/key.go refuses, with its errors, in its order.

Status CheckRange(std::string_view key, std::int32_t sort_order, std::int32_t sort_target);
Status CheckPut(std::string_view key, bool value_ignored_and_given, bool lease_ignored_and_given);
Status CheckDelete(std::string_view key);

// Operations count as max(compares, success, failure); a nested transaction has what its parent
// left. Then no key may be put twice, or put and deleted, in branches that can both run. What etcd
// overlooks is overlooked here too, as clients may rely on it: a delete to "\0" (from a key on)
// overlaps nothing, and a nested put only meets the deletes beside and below it that come before.
// Recursion is as deep as the message, which libprotobuf bounds at 100.
Status CheckTxn(const etcdserverpb::TxnRequest& txn, int ops_max);

}  // namespace coppice::api
