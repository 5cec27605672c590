#include "common/mvcc/testing/generator.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace coppice::mvcc::testing {

std::string Generator::NextKey() {
  const std::uint64_t kind = rng_.Below(10);
  if (kind == 0) return std::string(1 + rng_.Below(3), '\0');
  std::string key(kind < 8 ? "/registry/pods/" : "");
  key += std::to_string(rng_.Below(kind < 6 ? 20 : 1000));
  return key;
}

std::string Generator::NextValue() {
  const std::size_t size = rng_.Chance(0.05) ? rng_.Below(value_bytes_max_) : rng_.Below(12);
  return std::string(size, static_cast<char>('a' + rng_.Below(26)));
}

KeyRange Generator::NextKeyRange() {
  const std::string_view zero("\0", 1);
  switch (rng_.Below(10)) {
    case 0:
      return KeyRange::FromWire(zero, zero);
    case 1:
      return KeyRange::FromWire(NextKey(), zero);
    case 2:
    case 3:
    case 4:
      return KeyRange::FromWire(NextKey(), NextKey());  // some are empty
    default:
      return KeyRange::FromWire(NextKey(), "");
  }
}

Revision Generator::NextRevision(Revision current, Revision compacted) {
  if (rng_.Chance(0.05)) return current + 1 + rng_.Between(0, 2);
  if (rng_.Chance(0.05)) return rng_.Between(-2, compacted);
  return rng_.Between(std::max<Revision>(compacted, current - 300), current);
}

RangeOp Generator::NextRange(Revision current, Revision compacted) {
  RangeOp op{.range = NextKeyRange()};
  if (rng_.Chance(0.4)) op.revision = NextRevision(current, compacted);
  if (rng_.Chance(0.4)) op.limit = rng_.Between(1, 20);
  if (rng_.Chance(0.3)) {
    op.sort_order = static_cast<SortOrder>(rng_.Below(3));
    op.sort_target = static_cast<SortTarget>(rng_.Below(5));
  }
  op.keys_only = rng_.Chance(0.1);
  op.count_only = rng_.Chance(0.1);
  if (rng_.Chance(0.1)) op.min_mod_revision = NextRevision(current, compacted);
  if (rng_.Chance(0.1)) op.max_mod_revision = NextRevision(current, compacted);
  if (rng_.Chance(0.05)) op.min_create_revision = NextRevision(current, compacted);
  if (rng_.Chance(0.05)) op.max_create_revision = NextRevision(current, compacted);
  return op;
}

PutOp Generator::NextPut() {
  PutOp op{.key = NextKey(), .value = NextValue()};
  op.prev_kv = rng_.Chance(0.3);
  op.ignore_value = rng_.Chance(0.05);
  op.ignore_lease = rng_.Chance(0.05);
  if (rng_.Chance(0.02)) op.lease = 7;
  return op;
}

DeleteOp Generator::NextDelete() {
  // Deleting all each time would leave little to look at.
  KeyRange range = rng_.Chance(0.98) ? KeyRange::FromWire(NextKey(), "") : NextKeyRange();
  return {.range = std::move(range), .prev_kv = rng_.Chance(0.3)};
}

Compare Generator::NextCompare(Revision current) {
  Compare compare{.range = NextKeyRange(),
                  .target = static_cast<CompareTarget>(rng_.Below(5)),
                  .result = static_cast<CompareResult>(rng_.Below(4))};
  compare.number = rng_.Chance(0.5) ? rng_.Between(0, 3) : rng_.Between(0, current);
  compare.value.assign(rng_.Below(2), 'm');
  return compare;
}

void Generator::FillBranch(Revision current, Revision compacted, int depth, std::vector<Op>& ops) {
  for (std::uint64_t n = rng_.Below(5); n > 0; --n) {
    switch (rng_.Below(depth < 2 ? 8 : 7)) {
      case 0:
      case 1:
        ops.emplace_back(NextRange(current, compacted));
        break;
      case 2:
        ops.emplace_back(NextDelete());
        break;
      case 7:
        ops.emplace_back(std::make_unique<TxnOp>(NextTxn(current, compacted, depth + 1)));
        break;
      default:
        ops.emplace_back(NextPut());
    }
  }
}

TxnOp Generator::NextTxn(Revision current, Revision compacted, int depth) {
  TxnOp txn;
  for (std::uint64_t n = rng_.Below(3); n > 0; --n) txn.compares.push_back(NextCompare(current));
  FillBranch(current, compacted, depth, txn.success);
  FillBranch(current, compacted, depth, txn.failure);
  return txn;
}

Command Generator::NextCommand(Revision current, Revision compacted) {
  const std::uint64_t kind = rng_.Below(1000);
  if (kind < 550) return NextPut();
  if (kind < 750) return NextDelete();
  if (kind < 980) return NextTxn(current, compacted, 0);
  if (kind < 985) return CompactOp{NextRevision(current, compacted)};
  // Seldom raised, soon cleared.
  return AlarmOp{.activate = kind == 999,
                 .member = NodeId(1 + rng_.Below(2)),
                 .type = static_cast<AlarmType>(rng_.Below(3))};
}

}  // namespace coppice::mvcc::testing
