#include <algorithm>
#include <vector>

#include "common/mvcc/reader.h"

namespace coppice::mvcc {
namespace {

void Emit(const RangeOp& op, const Record& record, RangeResult& out) {
  AppendFramed(out.kvs, kKvsTag, op.keys_only ? record.encoded_without_value() : record.encoded());
}

void ReadSingle(const ReadState& state, const RangeOp& op, Revision revision, RangeResult& out) {
  const Slot* slot = Find(*state.root, op.range.begin);
  if (slot == nullptr) return;
  const Version version = VersionAt(*slot, revision);
  if (!version.exists) return;
  out.count = 1;
  if (version.record != nullptr) {
    Emit(op, *version.record, out);
  } else {
    Emit(op, *state.rows.Get(version.id), out);
  }
}

void ReadInOrder(const ReadState& state, const RangeOp& op, Revision revision, RangeResult& out) {
  const bool latest = revision == state.revision;
  Iterator it(*state.root);
  for (it.Seek(op.range.begin); it.valid() && !Beyond(op.range, it.key()); it.Next()) {
    if (latest && !it.live()) continue;
    const Version version = VersionAt(it.slot(), revision);
    if (!version.exists) continue;
    if (op.limit > 0 && out.count >= op.limit) {
      out.more = true;
      if (latest) break;  // the tree knows the count
    } else if (version.record != nullptr) {
      Emit(op, *version.record, out);
    } else {
      Emit(op, *state.rows.Get(version.id), out);
    }
    ++out.count;
  }
  if (latest && out.more) out.count = CountRange(state, op.range, revision);
}

bool Less(SortTarget target, const Record& a, const Record& b) {
  switch (target) {
    case SortTarget::kKey:
      return a.key() < b.key();
    case SortTarget::kVersion:
      return a.version() < b.version();
    case SortTarget::kCreate:
      return a.create_revision() < b.create_revision();
    case SortTarget::kMod:
      return a.mod_revision() < b.mod_revision();
    case SortTarget::kValue:
      return a.value() < b.value();
  }
  return false;
}

struct Selection {
  std::vector<const Record*> records;
  std::vector<RecordPtr> loaded;  // keeps those that the tree does not

  void Take(const Version& version, const RowSource& rows) {
    if (version.record != nullptr) {
      records.push_back(version.record);
    } else {
      loaded.push_back(rows.Get(version.id));
      records.push_back(loaded.back().get());
    }
  }
};

// A filter or another order: all are fetched, then filtered, sorted, cut. With a target but no
// order etcd fetches only limit + 1 and sorts those (rangeLimit in its server/etcdserver/txn).
void ReadSorted(const ReadState& state, const RangeOp& op, Revision revision, RangeResult& out) {
  const bool cut_first = !op.filtered() && op.sort_order == SortOrder::kNone && op.limit > 0;
  Selection selection;
  Iterator it(*state.root);
  for (it.Seek(op.range.begin); it.valid() && !Beyond(op.range, it.key()); it.Next()) {
    const Version version = VersionAt(it.slot(), revision);
    if (!version.exists) continue;
    ++out.count;
    if (cut_first && static_cast<std::int64_t>(selection.records.size()) > op.limit) continue;
    selection.Take(version, state.rows);
  }
  auto& records = selection.records;
  std::erase_if(records, [&op](const Record* record) { return !Passes(op, *record); });
  const auto less = [&op](const Record* a, const Record* b) {
    return op.sort_order == SortOrder::kDescend ? Less(op.sort_target, *b, *a)
                                                : Less(op.sort_target, *a, *b);
  };
  std::stable_sort(records.begin(), records.end(), less);
  if (op.limit > 0 && static_cast<std::int64_t>(records.size()) > op.limit) {
    records.resize(static_cast<std::size_t>(op.limit));
    out.more = true;
  }
  for (const Record* record : records) Emit(op, *record, out);
}

}  // namespace

bool Passes(const RangeOp& op, const Record& record) {
  const Revision mod = record.mod_revision();
  const Revision create = record.create_revision();
  return (op.max_mod_revision == 0 || mod <= op.max_mod_revision) &&
         (op.min_mod_revision == 0 || mod >= op.min_mod_revision) &&
         (op.max_create_revision == 0 || create <= op.max_create_revision) &&
         (op.min_create_revision == 0 || create >= op.min_create_revision);
}

Error ReadRange(const ReadState& state, const RangeOp& op, RangeResult& out) {
  out.revision = state.revision;
  out.count = 0;
  out.more = false;
  Revision revision = 0;
  if (const Error error = AdmitRevision(state, op.revision, revision); error != Error::kNone) {
    return error;
  }
  if (op.range.Empty()) return Error::kNone;
  if (op.count_only) {
    out.count = CountRange(state, op.range, revision);
  } else if (!InKeyOrder(op)) {
    ReadSorted(state, op, revision, out);
  } else if (op.range.SingleKey()) {
    ReadSingle(state, op, revision, out);
  } else {
    ReadInOrder(state, op, revision, out);
  }
  return Error::kNone;
}

}  // namespace coppice::mvcc
