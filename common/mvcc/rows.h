#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/mvcc/record.h"
#include "common/mvcc/store.h"

namespace coppice::mvcc {

// The rows of KvBackend::Family::kRev (docs/formats.md): key = main u64 and sub u32, big-endian;
// value = one byte RowType, then the encoded KeyValue.
enum class RowType : char { kPut = 0, kTombstone = 1 };

std::string RowKey(RowId id);
bool ParseRowKey(std::string_view key, RowId& id);
std::string RowValue(const Record& record);
// Null if malformed.
RecordPtr ParseRow(RowId id, std::string_view value);
KvBackend::Write RowWrite(const Record& record);

// Where superseded versions are read from: the backend, and before it the rows that the running
// batch has not handed to it yet.
class RowSource {
 public:
  explicit RowSource(const KvBackend& backend,
                     const std::vector<KvBackend::Write>* pending = nullptr)
      : backend_(&backend), pending_(pending) {}

  // The row must exist: a version that the index knows and no compaction released is missing only
  // from damaged storage, and then the process ends rather than serve a wrong state.
  RecordPtr Get(RowId id) const;

 private:
  const KvBackend* backend_;
  const std::vector<KvBackend::Write>* pending_;  // ascending
};

}  // namespace coppice::mvcc
