#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/mvcc/store_impl.h"

namespace coppice::mvcc {
namespace {

// Gathers rows into whole revisions, and stops before the one that would begin at or above the
// limit of rows.
class Gatherer {
 public:
  Gatherer(std::size_t rows_max, std::vector<std::shared_ptr<EventBatch>>& out)
      : rows_max_(rows_max), out_(out) {}

  bool Add(RecordPtr record) {
    if (out_.empty() || out_.back()->revision != record->mod_revision()) {
      if (rows_ >= rows_max_) {
        stopped_at_ = record->mod_revision();
        return false;
      }
      out_.push_back(std::make_shared<EventBatch>());
      out_.back()->revision = record->mod_revision();
      out_.back()->bytes = sizeof(EventBatch);
    }
    ++rows_;
    out_.back()->bytes += sizeof(Event) + sizeof(Record) + record->encoded().size();
    out_.back()->events.push_back({std::move(record), nullptr});
    return true;
  }
  Revision stopped_at() const { return stopped_at_; }  // 0: it was not

 private:
  const std::size_t rows_max_;
  std::vector<std::shared_ptr<EventBatch>>& out_;
  std::size_t rows_ = 0;
  Revision stopped_at_ = 0;
};

void AddPredecessors(const ReadState& state, EventBatch& batch) {
  // The state before the compact revision may be gone; etcd then sends no prev_kv either.
  if (batch.revision - 1 < state.compact_revision) return;
  for (Event& event : batch.events) {
    const Slot* slot = Find(*state.root, event.record->key());
    COPPICE_CHECK(slot != nullptr, "a row that is not compacted has its key in the index");
    const Version before = VersionBefore(*slot, event.record->id());
    if (!before.exists) continue;
    event.prev = Load(before, state.rows);
    batch.bytes += sizeof(Record) + event.prev->encoded().size();
  }
}

}  // namespace

Error StoreImpl::ScanHistory(Revision from, Revision to, std::size_t rows_max, bool with_prev,
                             std::vector<EventBatchPtr>& out, Revision& next) const {
  const ViewTable::Guest guest(views_);
  const ReadState state = StateOf(guest.view());
  if (from < state.compact_revision) return Error::kCompacted;
  to = std::min(to, state.revision);
  next = std::max(from, to + 1);
  if (from > to) return Error::kNone;

  std::vector<std::shared_ptr<EventBatch>> batches;
  Gatherer gatherer(std::max<std::size_t>(rows_max, 1), batches);
  const Status status =
      backend_->Scan(KvBackend::Family::kRev, RowKey({from, 0}), RowKey({to + 1, 0}),
                     [&gatherer](std::string_view key, std::string_view value) {
                       RowId id;
                       RecordPtr record;
                       if (ParseRowKey(key, id)) record = ParseRow(id, value);
                       COPPICE_CHECK(record != nullptr, "a stored version is well-formed");
                       return gatherer.Add(std::move(record));
                     });
  COPPICE_CHECK(status.ok(), "history that is not compacted can be read");
  if (gatherer.stopped_at() != 0) next = gatherer.stopped_at();
  for (auto& batch : batches) {
    if (with_prev) AddPredecessors(state, *batch);
    out.push_back(std::move(batch));
  }
  return Error::kNone;
}

}  // namespace coppice::mvcc
