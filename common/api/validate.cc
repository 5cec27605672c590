#include "common/api/validate.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "common/api/errors.h"
#include "common/api/limits.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

using Ops = google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>;

// Keys that deletes cover: single ones, and disjoint ranges that neither touch nor overlap.
// The views point into the request.
class Deleted {
 public:
  void Add(std::string_view key, std::string_view range_end) {
    if (range_end.empty()) {
      keys_.insert(key);
    } else if (key < range_end) {
      AddRange(key, range_end);
    }
  }
  void AddAll(const Deleted& other) {
    keys_.insert(other.keys_.begin(), other.keys_.end());
    for (const auto& [begin, end] : other.ranges_) AddRange(begin, end);
  }
  bool Contains(std::string_view key) const {
    if (keys_.contains(key)) return true;
    auto after = ranges_.upper_bound(key);
    return after != ranges_.begin() && key < std::prev(after)->second;
  }

 private:
  void AddRange(std::string_view begin, std::string_view end) {
    auto it = ranges_.upper_bound(begin);
    if (it != ranges_.begin() && std::prev(it)->second >= begin) --it;
    while (it != ranges_.end() && it->first <= end) {
      begin = std::min(begin, it->first);
      end = std::max(end, it->second);
      it = ranges_.erase(it);
    }
    ranges_.emplace(begin, end);
  }

  std::set<std::string_view> keys_;
  std::map<std::string_view, std::string_view> ranges_;  // begin -> end
};

struct Touched {
  std::set<std::string_view> puts;
  Deleted deletes;
};

Status Duplicate() {
  return ToStatus(EtcdError::kDuplicateKey);
}

Status CheckIntervals(const Ops& ops, Touched& touched);

// The puts and deletes of a nested transaction's two branches join those of `touched`. Both
// branches may put the same key: only one runs.
Status CheckNested(const etcdserverpb::TxnRequest& txn, Touched& touched) {
  Touched success;
  COPPICE_RETURN_IF_ERROR(CheckIntervals(txn.success(), success));
  Touched failure;
  COPPICE_RETURN_IF_ERROR(CheckIntervals(txn.failure(), failure));
  for (std::string_view key : success.puts) {
    if (touched.puts.contains(key) || touched.deletes.Contains(key)) return Duplicate();
  }
  for (std::string_view key : failure.puts) {
    if (touched.puts.contains(key) || touched.deletes.Contains(key)) return Duplicate();
  }
  touched.puts.merge(success.puts);
  touched.puts.merge(failure.puts);
  touched.deletes.AddAll(success.deletes);
  touched.deletes.AddAll(failure.deletes);
  return OkStatus();
}

Status CheckIntervals(const Ops& ops, Touched& touched) {
  for (const auto& op : ops) {
    if (!op.has_request_delete_range()) continue;
    const auto& erase = op.request_delete_range();
    touched.deletes.Add(erase.key(), erase.range_end());
  }
  for (const auto& op : ops) {
    if (op.has_request_txn()) COPPICE_RETURN_IF_ERROR(CheckNested(op.request_txn(), touched));
  }
  for (const auto& op : ops) {
    if (!op.has_request_put()) continue;
    const std::string_view key = op.request_put().key();
    if (touched.deletes.Contains(key) || !touched.puts.insert(key).second) return Duplicate();
  }
  return OkStatus();
}

Status CheckOps(const etcdserverpb::TxnRequest& txn, int ops_max);

Status CheckOp(const etcdserverpb::RequestOp& op, int ops_max) {
  switch (op.request_case()) {
    case etcdserverpb::RequestOp::kRequestRange: {
      const auto& range = op.request_range();
      return CheckRange(range.key(), range.sort_order(), range.sort_target());
    }
    case etcdserverpb::RequestOp::kRequestPut: {
      const auto& put = op.request_put();
      return CheckPut(put.key(), put.ignore_value() && !put.value().empty(),
                      put.ignore_lease() && put.lease() != 0);
    }
    case etcdserverpb::RequestOp::kRequestDeleteRange:
      return CheckDelete(op.request_delete_range().key());
    case etcdserverpb::RequestOp::kRequestTxn:
      return CheckOps(op.request_txn(), ops_max);
    case etcdserverpb::RequestOp::REQUEST_NOT_SET:
      break;
  }
  return ToStatus(EtcdError::kKeyNotFound);
}

Status CheckOps(const etcdserverpb::TxnRequest& txn, int ops_max) {
  const int ops = std::max({txn.compare_size(), txn.success_size(), txn.failure_size()});
  if (ops > ops_max) return ToStatus(EtcdError::kTooManyOps);
  for (const auto& compare : txn.compare()) {
    if (compare.key().empty()) return ToStatus(EtcdError::kEmptyKey);
  }
  for (const auto& op : txn.success()) COPPICE_RETURN_IF_ERROR(CheckOp(op, ops_max - ops));
  for (const auto& op : txn.failure()) COPPICE_RETURN_IF_ERROR(CheckOp(op, ops_max - ops));
  return OkStatus();
}

}  // namespace

Status CheckSize(const MethodInfo& method, std::size_t request_bytes, const Limits& limits) {
  if (!method.writes || request_bytes <= limits.request_bytes_max) return OkStatus();
  return ToStatus(EtcdError::kRequestTooLarge);
}

Status CheckRange(std::string_view key, std::int32_t sort_order, std::int32_t sort_target) {
  if (key.empty()) return ToStatus(EtcdError::kEmptyKey);
  if (!etcdserverpb::RangeRequest::SortOrder_IsValid(sort_order) ||
      !etcdserverpb::RangeRequest::SortTarget_IsValid(sort_target)) {
    return ToStatus(EtcdError::kInvalidSortOption);
  }
  return OkStatus();
}

Status CheckPut(std::string_view key, bool value_ignored_and_given, bool lease_ignored_and_given) {
  if (key.empty()) return ToStatus(EtcdError::kEmptyKey);
  if (value_ignored_and_given) return ToStatus(EtcdError::kValueProvided);
  if (lease_ignored_and_given) return ToStatus(EtcdError::kLeaseProvided);
  return OkStatus();
}

Status CheckDelete(std::string_view key) {
  return key.empty() ? ToStatus(EtcdError::kEmptyKey) : OkStatus();
}

Status CheckTxn(const etcdserverpb::TxnRequest& txn, int ops_max) {
  COPPICE_RETURN_IF_ERROR(CheckOps(txn, ops_max));
  // Only now, as counting bounds what this costs.
  Touched success;
  COPPICE_RETURN_IF_ERROR(CheckIntervals(txn.success(), success));
  Touched failure;
  return CheckIntervals(txn.failure(), failure);
}

}  // namespace coppice::api
