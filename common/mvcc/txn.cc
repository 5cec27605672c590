#include "common/mvcc/txn.h"

#include <memory>
#include <utility>

namespace coppice::mvcc {
namespace {

int Order(auto a, auto b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

bool Holds(const Compare& compare, int order) {
  switch (compare.result) {
    case CompareResult::kEqual:
      return order == 0;
    case CompareResult::kGreater:
      return order > 0;
    case CompareResult::kLess:
      return order < 0;
    case CompareResult::kNotEqual:
      return order != 0;
  }
  return true;
}

bool HoldsFor(const Compare& compare, const Record& record) {
  switch (compare.target) {
    case CompareTarget::kVersion:
      return Holds(compare, Order(record.version(), compare.number));
    case CompareTarget::kCreate:
      return Holds(compare, Order(record.create_revision(), compare.number));
    case CompareTarget::kMod:
      return Holds(compare, Order(record.mod_revision(), compare.number));
    case CompareTarget::kValue:
      return Holds(compare, record.value().compare(compare.value));
    case CompareTarget::kLease:
      return Holds(compare, Order(record.lease(), compare.number));
  }
  return true;
}

bool HoldsForMissing(const Compare& compare) {
  if (compare.target == CompareTarget::kValue) return false;
  return Holds(compare, Order(std::int64_t{0}, compare.number));
}

bool Evaluate(const Inner& root, const Compare& compare) {
  bool any = false;
  if (compare.range.Empty()) return HoldsForMissing(compare);
  if (compare.range.SingleKey()) {
    const Slot* slot = Find(root, compare.range.begin);
    if (slot == nullptr || slot->record->tombstone()) return HoldsForMissing(compare);
    return HoldsFor(compare, *slot->record);
  }
  Iterator it(root);
  for (it.Seek(compare.range.begin); it.valid() && !Beyond(compare.range, it.key()); it.Next()) {
    if (!it.live()) continue;
    any = true;
    if (!HoldsFor(compare, *it.slot().record)) return false;
  }
  return any || HoldsForMissing(compare);
}

const TxnOp* Nested(const Op& op) {
  const auto* nested = std::get_if<std::unique_ptr<TxnOp>>(&op);
  return nested == nullptr ? nullptr : nested->get();
}

// A negative revision means the newest to a Range, but a transaction's check compares it with the
// compaction, which is -1 as long as there was none.
Error CheckRange(const ReadState& state, const RangeOp& op) {
  if (op.revision == 0) return Error::kNone;
  if (op.revision > state.revision) return Error::kFutureRevision;
  const Revision first = state.compact_revision == 0 ? -1 : state.compact_revision;
  return op.revision < first ? Error::kCompacted : Error::kNone;
}

}  // namespace

// No lease exists yet: each that is named is unknown.
Error CheckPut(const ReadState& state, const PutOp& op) {
  if (op.lease != 0) return Error::kLeaseNotFound;
  if (!op.ignore_value && !op.ignore_lease) return Error::kNone;
  const Slot* slot = Find(*state.root, op.key);
  return slot == nullptr || slot->record->tombstone() ? Error::kKeyNotFound : Error::kNone;
}

Error TxnRun::Prepare() {
  path_.clear();
  Choose(txn_);
  next_ = 0;
  return Check(txn_);
}

void TxnRun::Execute(TxnWriter* writer, TxnResult& out) {
  next_ = 0;
  Run(txn_, writer, out);
}

void TxnRun::Choose(const TxnOp& txn) {
  bool succeeded = true;
  for (const Compare& compare : txn.compares) {
    if (!Evaluate(*before_.root, compare)) {
      succeeded = false;
      break;
    }
  }
  path_.push_back(succeeded);
  for (const Op& op : succeeded ? txn.success : txn.failure) {
    if (const TxnOp* nested = Nested(op)) Choose(*nested);
  }
}

const std::vector<Op>& TxnRun::NextBranch(const TxnOp& txn, bool& succeeded) {
  succeeded = path_[next_++];
  return succeeded ? txn.success : txn.failure;
}

Error TxnRun::Check(const TxnOp& txn) {
  bool succeeded = false;
  for (const Op& op : NextBranch(txn, succeeded)) {
    Error error = Error::kNone;
    if (const auto* range = std::get_if<RangeOp>(&op)) {
      error = CheckRange(before_, *range);
    } else if (const auto* put = std::get_if<PutOp>(&op)) {
      error = CheckPut(before_, *put);
    } else if (const TxnOp* nested = Nested(op)) {
      error = Check(*nested);
    }
    if (error != Error::kNone) return error;
  }
  return Error::kNone;
}

void TxnRun::Run(const TxnOp& txn, TxnWriter* writer, TxnResult& out) {
  const std::vector<Op>& branch = NextBranch(txn, out.succeeded);
  out.responses.reserve(branch.size());
  for (const Op& op : branch) out.responses.push_back(RunOp(op, writer));
}

OpResult TxnRun::RunOp(const Op& op, TxnWriter* writer) {
  if (const auto* range = std::get_if<RangeOp>(&op)) {
    RangeResult result;
    ReadRange(writer == nullptr ? before_ : writer->state(), *range, result);
    return result;
  }
  if (const auto* put = std::get_if<PutOp>(&op)) {
    PutResult result;
    writer->Put(*put, result);
    return result;
  }
  if (const auto* erase = std::get_if<DeleteOp>(&op)) {
    DeleteResult result;
    writer->Delete(*erase, result);
    return result;
  }
  auto result = std::make_unique<TxnResult>();
  Run(*Nested(op), writer, *result);
  return result;
}

}  // namespace coppice::mvcc
