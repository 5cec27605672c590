#include "common/mvcc/rows.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/coding.h"

namespace coppice::mvcc {

constexpr std::size_t kRowKeySize = 12;

std::string RowKey(RowId id) {
  std::string key;
  PutBe64(key, static_cast<std::uint64_t>(id.main));
  PutBe32(key, id.sub);
  return key;
}

bool ParseRowKey(std::string_view key, RowId& id) {
  if (key.size() != kRowKeySize) return false;
  id.main = static_cast<Revision>(GetBe64(key.data()));
  id.sub = GetBe32(key.data() + 8);
  return true;
}

std::string RowValue(const Record& record) {
  std::string value;
  value.reserve(1 + record.encoded().size());
  value.push_back(static_cast<char>(record.tombstone() ? RowType::kTombstone : RowType::kPut));
  value.append(record.encoded());
  return value;
}

RecordPtr ParseRow(RowId id, std::string_view value) {
  if (value.empty()) return nullptr;
  const auto type = static_cast<RowType>(value[0]);
  if (type != RowType::kPut && type != RowType::kTombstone) return nullptr;
  return Record::Parse(value.substr(1), id, type == RowType::kTombstone);
}

KvBackend::Write RowWrite(const Record& record) {
  return {KvBackend::Family::kRev, RowKey(record.id()), RowValue(record)};
}

RecordPtr RowSource::Get(RowId id) const {
  const std::string key = RowKey(id);
  if (pending_ != nullptr) {
    const auto at =
        std::lower_bound(pending_->begin(), pending_->end(), key,
                         [](const auto& write, const auto& k) { return write.key < k; });
    if (at != pending_->end() && at->key == key) return ParseRow(id, at->value);
  }
  std::string value;
  const Status status = backend_->Get(KvBackend::Family::kRev, key, value);
  COPPICE_CHECK(status.ok(), "a version that is not compacted can be read");
  RecordPtr record = ParseRow(id, value);
  COPPICE_CHECK(record != nullptr, "a stored version is well-formed");
  return record;
}

}  // namespace coppice::mvcc
