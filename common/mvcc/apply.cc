#include "common/mvcc/apply.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string_view>

#include "common/base/mutant.h"
#include "common/mvcc/meta.h"

namespace coppice::mvcc {
namespace {

bool HasPut(const std::vector<Op>& ops);
bool HasPut(const TxnOp& txn) {
  return HasPut(txn.success) || HasPut(txn.failure);
}
bool HasPut(const std::vector<Op>& ops) {
  return std::any_of(ops.begin(), ops.end(), [](const Op& op) {
    const auto* nested = std::get_if<std::unique_ptr<TxnOp>>(&op);
    return std::holds_alternative<PutOp>(op) || (nested != nullptr && HasPut(**nested));
  });
}

bool Active(const AlarmSet& alarms, AlarmType type) {
  const auto at = alarms.lower_bound({type, NodeId()});
  return at != alarms.end() && at->first == type;
}

}  // namespace

bool NeedsSpace(const Command& command) {
  const auto* txn = std::get_if<TxnOp>(&command);
  return std::holds_alternative<PutOp>(command) || (txn != nullptr && HasPut(*txn));
}

// With NOSPACE up deletes, compactions and alarms go on: they are how space comes back.
Error BatchWriter::Refusal(const Command& command) const {
  if (after_.alarms.empty() || std::holds_alternative<AlarmOp>(command)) return Error::kNone;
  if (Active(after_.alarms, AlarmType::kCorrupt)) return Error::kCorrupt;
  return Active(after_.alarms, AlarmType::kNoSpace) && NeedsSpace(command) ? Error::kNoSpace
                                                                           : Error::kNone;
}

void BatchWriter::Execute(const Command& command, CommandResult& out) {
  out.error = Refusal(command);
  if (out.error == Error::kNone) {
    out.error = std::visit([&](const auto& op) { return Run(op, out); }, command);
    FinishRevision();
  }
  out.revision = after_.revision;
}

void BatchWriter::Passed(Index index, Term term) {
  after_.applied = index;
  after_.term = std::max(after_.term, term);
}

void BatchWriter::WriteMeta(std::string key, std::string value) {
  const bool erase = value.empty();
  meta_.push_back({KvBackend::Family::kMeta, std::move(key), std::move(value), erase});
}

Error BatchWriter::Run(const PutOp& op, CommandResult& out) {
  if (const Error error = CheckPut(state(), op); error != Error::kNone) return error;
  Put(op, out.value.emplace<PutResult>());
  return Error::kNone;
}

Error BatchWriter::Run(const DeleteOp& op, CommandResult& out) {
  Delete(op, out.value.emplace<DeleteResult>());
  return Error::kNone;
}

Error BatchWriter::Run(const TxnOp& op, CommandResult& out) {
  TxnRun run(state(), op);
  if (const Error error = run.Prepare(); error != Error::kNone) return error;
  run.Execute(this, out.value.emplace<TxnResult>());
  return Error::kNone;
}

Error BatchWriter::Run(const CompactOp& op, CommandResult& out) {
  if (op.revision <= after_.compact_revision) return Error::kCompacted;
  if (op.revision > after_.revision) return Error::kFutureRevision;
  after_.compact_revision = op.revision;
  WriteMeta(std::string(kMetaCompact), EncodeRevision(op.revision));
  out.value.emplace<CompactResult>();
  return Error::kNone;
}

Error BatchWriter::Run(const AlarmOp& op, CommandResult& out) {
  AlarmResult& result = out.value.emplace<AlarmResult>();
  if (op.type == AlarmType::kNone) return Error::kNone;
  const std::pair alarm{op.type, op.member};
  const bool was_up = after_.alarms.contains(alarm);
  if (was_up || op.activate) result = {op.member, op.type};
  if (was_up == op.activate) return Error::kNone;
  if (op.activate) {
    after_.alarms.insert(alarm);
  } else {
    after_.alarms.erase(alarm);
  }
  WriteMeta(AlarmKey(op.type, op.member), op.activate ? "1" : "");
  return Error::kNone;
}

ReadState BatchWriter::state() const {
  return {tree_.root(), after_.revision + (running_.empty() ? 0 : 1),
          std::max<Revision>(after_.compact_revision, 0), RowSource(backend_, &rows_)};
}

RowId BatchWriter::NextId() const {
  return {after_.revision + 1, static_cast<std::uint32_t>(running_.size())};
}

void BatchWriter::Add(RecordPtr record) {
  rows_.push_back(RowWrite(*record));
  const Record* before = tree_.Put(record);
  if (before != nullptr && before->tombstone()) before = nullptr;
  running_.push_back({std::move(record), RecordPtr::Share(before)});
  if (COPPICE_MUTANT(kHalfTransaction) && running_.size() == 2) FinishRevision();
}

void BatchWriter::Put(const PutOp& op, PutResult& out) {
  const Slot* slot = Find(*tree_.root(), op.key);
  const Record* before = slot == nullptr || slot->record->tombstone() ? nullptr : slot->record;
  Record::Fields fields;
  fields.key = op.key;
  fields.value = op.value;
  fields.id = NextId();
  fields.create = fields.id.main;
  fields.version = 1;
  fields.lease = op.lease;
  if (before != nullptr) {
    fields.create = before->create_revision();
    fields.version = before->version() + 1;
    if (op.prev_kv) out.prev_kv = before->encoded();
  }
  // Checked to exist before the transaction began; one that deleted it itself keeps nothing.
  if (op.ignore_value) fields.value = before == nullptr ? std::string_view() : before->value();
  if (op.ignore_lease) fields.lease = before == nullptr ? 0 : before->lease();
  Add(Record::Make(fields));
  out.revision = fields.id.main;
}

void BatchWriter::Delete(const DeleteOp& op, DeleteResult& out) {
  std::vector<RecordPtr> doomed;
  Iterator it(*tree_.root());
  if (!op.range.Empty()) {
    for (it.Seek(op.range.begin); it.valid() && !Beyond(op.range, it.key()); it.Next()) {
      if (it.live()) doomed.push_back(RecordPtr::Share(it.slot().record));
    }
  }
  for (const RecordPtr& record : doomed) {
    if (op.prev_kv) AppendFramed(out.prev_kvs, kPrevKvsTag, record->encoded());
    Add(Record::MakeTombstone(record->key(), NextId()));
  }
  out.deleted = static_cast<std::int64_t>(doomed.size());
  out.revision = after_.revision + (running_.empty() ? 0 : 1);
}

void BatchWriter::FinishRevision() {
  if (running_.empty()) return;
  auto batch = std::make_shared<EventBatch>();
  batch->revision = ++after_.revision;
  batch->events.swap(running_);
  batch->bytes = sizeof(EventBatch);
  for (const Event& event : batch->events) {
    batch->bytes += sizeof(Event) + sizeof(Record) + event.record->encoded().size();
    if (event.prev) batch->bytes += sizeof(Record) + event.prev->encoded().size();
  }
  events_.push_back(std::move(batch));
}

std::vector<KvBackend::Write> BatchWriter::TakeWrites() {
  std::move(meta_.begin(), meta_.end(), std::back_inserter(rows_));
  return std::move(rows_);
}

}  // namespace coppice::mvcc
