#include "common/mvcc/ops.h"

namespace coppice::mvcc {
namespace {

bool ReadOnlyBranch(const std::vector<Op>& ops) {
  for (const Op& op : ops) {
    if (std::holds_alternative<RangeOp>(op)) continue;
    const auto* nested = std::get_if<std::unique_ptr<TxnOp>>(&op);
    if (nested == nullptr || !ReadOnly(**nested)) return false;
  }
  return true;
}

}  // namespace

bool ReadOnly(const TxnOp& txn) {
  return ReadOnlyBranch(txn.success) && ReadOnlyBranch(txn.failure);
}

}  // namespace coppice::mvcc
