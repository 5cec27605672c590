#pragma once

#include <string>
#include <string_view>

#include "common/mvcc/btree.h"
#include "common/mvcc/ops.h"
#include "common/mvcc/rows.h"

namespace coppice::mvcc {

// One state to read from: a published view's, or a running transaction's.
struct ReadState {
  const Inner* root;
  Revision revision;
  Revision compact_revision;  // below it is compacted
  RowSource rows;
};

// A key's version at some revision.
struct Version {
  const Record* record = nullptr;  // null: not in memory, read it by `id`
  RowId id;
  bool exists = false;  // false: never written until then, or deleted
};
Version VersionAt(const Slot& slot, Revision revision);
// The version just before `id`.
Version VersionBefore(const Slot& slot, RowId id);
RecordPtr Load(const Version& version, const RowSource& rows);

// Resolves a request's revision (0 or below: the newest) against the state.
Error AdmitRevision(const ReadState& state, Revision asked, Revision& revision);

// etcd's Range. Appends to out.kvs.
Error ReadRange(const ReadState& state, const RangeOp& op, RangeResult& out);
// Keys of the range that exist at `revision`.
std::int64_t CountRange(const ReadState& state, const KeyRange& range, Revision revision);
// Answered in key order without looking at more than what is returned.
bool InKeyOrder(const RangeOp& op);
// Whether the op's filters let the record through.
bool Passes(const RangeOp& op, const Record& record);

// The live keys of the range: their number and framed bytes.
Rank Extent(const Inner& root, const KeyRange& range);
// Framed bytes of what a plain `op` on the newest state returns; `extent`: of its range.
std::uint64_t BytesOf(const Inner& root, const RangeOp& op, const Rank& extent);
inline bool Beyond(const KeyRange& range, std::string_view key) {
  return !range.unbounded && key >= range.end;
}

constexpr char kKvsTag = 0x12;      // RangeResponse.kvs
constexpr char kPrevKvsTag = 0x1a;  // DeleteRangeResponse.prev_kvs
void AppendFramed(std::string& out, char tag, std::string_view message);

}  // namespace coppice::mvcc
