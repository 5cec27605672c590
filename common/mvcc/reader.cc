#include "common/mvcc/reader.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "common/base/coding.h"

namespace coppice::mvcc {

Version VersionAt(const Slot& slot, Revision revision) {
  if (slot.record->mod_revision() <= revision) {
    return {slot.record, slot.record->id(), !slot.record->tombstone()};
  }
  return VersionBefore(slot, {revision + 1, 0});
}

Version VersionBefore(const Slot& slot, RowId id) {
  if (slot.record->id() < id) return {slot.record, slot.record->id(), !slot.record->tombstone()};
  if (slot.older == nullptr) return {};
  const auto items = slot.older->items();
  const auto after =
      std::lower_bound(items.begin(), items.end(), id,
                       [](const Superseded& version, RowId at) { return version.id < at; });
  if (after == items.begin()) return {};
  const Superseded& found = *std::prev(after);
  return {nullptr, found.id, !found.tombstone};
}

RecordPtr Load(const Version& version, const RowSource& rows) {
  if (version.record != nullptr) return RecordPtr::Share(version.record);
  return rows.Get(version.id);
}

Error AdmitRevision(const ReadState& state, Revision asked, Revision& revision) {
  if (asked > state.revision) return Error::kFutureRevision;
  revision = asked <= 0 ? state.revision : asked;
  return revision < state.compact_revision ? Error::kCompacted : Error::kNone;
}

Rank Extent(const Inner& root, const KeyRange& range) {
  if (range.Empty()) return {};
  if (range.SingleKey()) {
    const Slot* slot = Find(root, range.begin);
    if (slot == nullptr || slot->record->tombstone()) return {};
    return {1, FramedSize(*slot->record)};
  }
  const Rank low = RankBefore(root, range.begin);
  const Rank high = range.unbounded ? Total(root) : RankBefore(root, range.end);
  return {high.live - low.live, high.bytes - low.bytes};
}

std::uint64_t BytesOf(const Inner& root, const RangeOp& op, const Rank& extent) {
  if (op.limit <= 0 || op.limit >= extent.live) return extent.bytes;
  const Rank before = RankBefore(root, op.range.begin);
  return BytesOfFirst(root, before.live + op.limit) - before.bytes;
}

std::int64_t CountRange(const ReadState& state, const KeyRange& range, Revision revision) {
  if (range.Empty()) return 0;
  if (revision == state.revision) {
    if (range.SingleKey()) return Extent(*state.root, range).live;
    const std::int64_t below = CountBefore(*state.root, range.begin);
    return (range.unbounded ? Total(*state.root).live : CountBefore(*state.root, range.end)) -
           below;
  }
  std::int64_t count = 0;
  Iterator it(*state.root);
  for (it.Seek(range.begin); it.valid() && !Beyond(range, it.key()); it.Next()) {
    count += VersionAt(it.slot(), revision).exists ? 1 : 0;
  }
  return count;
}

bool InKeyOrder(const RangeOp& op) {
  return !op.filtered() && op.sort_target == SortTarget::kKey &&
         op.sort_order != SortOrder::kDescend;
}

void AppendFramed(std::string& out, char tag, std::string_view message) {
  char frame[1 + kVarintSizeMax];
  frame[0] = tag;
  const char* end = WriteVarint(frame + 1, message.size());
  out.append(frame, static_cast<std::size_t>(end - frame));
  out.append(message);
}

}  // namespace coppice::mvcc
