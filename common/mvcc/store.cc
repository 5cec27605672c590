#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/mvcc/meta.h"
#include "common/mvcc/rows.h"
#include "common/mvcc/store_impl.h"

namespace coppice::mvcc {
namespace {

using Family = KvBackend::Family;

constexpr std::size_t kLoadBatch = 4096;
// What a row costs in the backend's memory besides its key and value.
constexpr std::size_t kWriteOverhead = 32;

Status Damaged(std::string_view what) {
  return MakeStatus(StatusCode::kDataLoss, "store: " + std::string(what));
}

bool KnownKind(const Entry& entry) {
  switch (entry.kind()) {
    case RecordKind::kNoop:
    case RecordKind::kCommand:
    case RecordKind::kConfiguration:
    case RecordKind::kRegistry:
      return entry.version() == 1;
    default:
      return false;
  }
}

}  // namespace

void ApplyOutput::Clear() {
  results.clear();
  events.clear();
  applied = Index();
}

StatusOr<std::unique_ptr<Store>> Store::Open(std::unique_ptr<KvBackend> backend,
                                             const StoreOptions& options) {
  auto store = std::make_unique<StoreImpl>(std::move(backend), options);
  COPPICE_RETURN_IF_ERROR(store->Recover());
  return std::unique_ptr<Store>(std::move(store));
}

StoreImpl::StoreImpl(std::unique_ptr<KvBackend> backend, const StoreOptions& options)
    : backend_(std::move(backend)), views_(tree_, options.loops), ring_(options.ring_bytes) {}

// --- Opening.

Status StoreImpl::Recover() {
  COPPICE_RETURN_IF_ERROR(CheckFormat());
  COPPICE_RETURN_IF_ERROR(LoadMeta());
  COPPICE_RETURN_IF_ERROR(LoadRows());
  ring_.Reset(state_.revision + 1);
  Publish({});
  return OkStatus();
}

Status StoreImpl::CheckFormat() {
  std::string version;
  const Status status = backend_->Get(Family::kMeta, kMetaFormat, version);
  const std::string ours = std::to_string(kFormatVersion);
  if (status.ok()) {
    if (version == ours) return OkStatus();
    return MakeStatus(StatusCode::kFailedPrecondition,
                      "store: format " + version + " is not the one this release reads (" + ours +
                          "); run the release that wrote it, or a newer one");
  }
  if (status.code() != StatusCode::kNotFound) return status;
  bool empty = true;
  for (const Family family : {Family::kMeta, Family::kRev}) {
    COPPICE_RETURN_IF_ERROR(backend_->Scan(family, "", "", [&empty](auto, auto) {
      empty = false;
      return false;
    }));
  }
  if (!empty) {
    return MakeStatus(StatusCode::kFailedPrecondition,
                      "store: the directory holds data that is not a coppice store");
  }
  return backend_->Apply(
      std::vector<KvBackend::Write>{{Family::kMeta, std::string(kMetaFormat), ours}});
}

Status StoreImpl::LoadMeta() {
  std::string bytes;
  AppliedMark mark;
  Status status = backend_->Get(Family::kMeta, kMetaApplied, bytes);
  if (status.ok() && !DecodeApplied(bytes, mark)) return Damaged("bad applied mark");
  if (!status.ok() && status.code() != StatusCode::kNotFound) return status;
  state_.applied = mark.applied;
  state_.term = mark.term;
  state_.revision = mark.revision;
  applied_ = flushed_ = mark.applied.value();

  status = backend_->Get(Family::kMeta, kMetaCompact, bytes);
  if (status.ok() && !DecodeRevision(bytes, state_.compact_revision)) {
    return Damaged("bad compact revision");
  }
  if (!status.ok() && status.code() != StatusCode::kNotFound) return status;

  bool good = true;
  ScanMeta(kMetaAlarms, [this, &good](std::string_view key, std::string_view) {
    AlarmType type{};
    NodeId member;
    good = good && ParseAlarmKey(key, type, member);
    state_.alarms.insert({type, member});
  });
  return good ? OkStatus() : Damaged("bad alarm");
}

Status StoreImpl::LoadRows() {
  Status damage = OkStatus();
  std::size_t loaded = 0;
  const auto visit = [&](std::string_view key, std::string_view value) {
    RowId id;
    RecordPtr record;
    if (ParseRowKey(key, id)) record = ParseRow(id, value);
    if (record == nullptr || id.main > state_.revision) {
      damage = Damaged("bad row at revision " + std::to_string(id.main));
      return false;
    }
    tree_.Put(std::move(record));
    if (++loaded % kLoadBatch == 0) tree_.Settle();
    return true;
  };
  COPPICE_RETURN_IF_ERROR(backend_->Scan(Family::kRev, "", "", visit));
  Garbage garbage;
  tree_.Commit(garbage);
  tree_.Free(garbage);
  return damage;
}

// --- The writer.

void StoreImpl::Publish(Garbage garbage) {
  auto view = std::make_unique<PublishedView>();
  view->revision = state_.revision;
  view->applied = state_.applied;
  view->term = state_.term;
  view->compact_revision = std::max<Revision>(state_.compact_revision, 0);
  view->fresh_as_of = fresh_as_of_;
  view->root = tree_.root();
  key_count_ = static_cast<std::uint64_t>(Total(*tree_.root()).live);
  views_.Publish(std::move(view), std::move(garbage));
}

void StoreImpl::PublishFresh(Time fresh_as_of) {
  fresh_as_of_ = fresh_as_of;
  Publish({});
}

Status StoreImpl::Decode(std::span<const EntryPtr> entries, std::vector<Command>& commands) const {
  Index expected = state_.applied;
  for (const EntryPtr& entry : entries) {
    COPPICE_CHECK(entry->index() == ++expected, "entries are applied in order and once");
    if (!KnownKind(*entry)) {
      return MakeStatus(StatusCode::kFailedPrecondition,
                        "store: entry " + std::to_string(entry->index().value()) +
                            " is of a kind or version this release does not know");
    }
    if (entry->kind() != RecordKind::kCommand) continue;
    if (!DecodeCommand(entry->payload(), commands.emplace_back())) {
      return MakeStatus(StatusCode::kFailedPrecondition,
                        "store: entry " + std::to_string(entry->index().value()) +
                            " holds a command this release cannot read");
    }
  }
  return OkStatus();
}

Status StoreImpl::WriteBatch(const std::vector<KvBackend::Write>& writes) {
  COPPICE_RETURN_IF_ERROR(backend_->Apply(writes));
  std::size_t bytes = 0;
  for (const KvBackend::Write& write : writes) {
    bytes += write.key.size() + write.value.size() + kWriteOverhead;
  }
  unflushed_bytes_ += bytes;
  return OkStatus();
}

Status StoreImpl::Apply(std::span<const EntryPtr> entries, std::span<const MetaWrite> meta,
                        ApplyOutput& out) {
  out.Clear();
  out.applied = state_.applied;
  std::vector<Command> commands;
  commands.reserve(entries.size());
  COPPICE_RETURN_IF_ERROR(Decode(entries, commands));

  BatchWriter batch(tree_, *backend_, state_);
  auto command = commands.begin();
  for (const EntryPtr& entry : entries) {
    batch.Passed(entry->index(), entry->term());
    if (entry->kind() != RecordKind::kCommand) continue;
    batch.Execute(*command++, out.results.emplace_back(entry->index(), CommandResult()).second);
  }
  for (const MetaWrite& write : meta) {
    COPPICE_CHECK(!write.key.starts_with(kMetaPrefix), "the store's own keys");
    batch.WriteMeta(write.key, write.value);
  }
  const AppliedState& after = batch.after();
  batch.WriteMeta(std::string(kMetaApplied),
                  EncodeApplied({after.applied, after.term, after.revision}));
  if (const Status status = WriteBatch(batch.TakeWrites()); !status.ok()) {
    tree_.Rollback();
    out.Clear();
    out.applied = state_.applied;
    return status;
  }
  state_ = after;
  applied_ = state_.applied.value();
  out.applied = state_.applied;
  out.events = std::move(batch.events());
  Garbage garbage;
  tree_.Commit(garbage);
  // Before the view: whoever sees the revision finds its events.
  ring_.Push(out.events);
  Publish(std::move(garbage));
  return OkStatus();
}

Status StoreImpl::Flush() {
  const std::uint64_t applied = applied_.load();
  const std::size_t bytes = unflushed_bytes_.load();
  COPPICE_RETURN_IF_ERROR(backend_->Flush());
  std::uint64_t flushed = flushed_.load();
  while (flushed < applied && !flushed_.compare_exchange_weak(flushed, applied)) {
  }
  unflushed_bytes_ -= std::min(bytes, unflushed_bytes_.load());
  return OkStatus();
}

std::string StoreImpl::GetMeta(std::string_view key) const {
  std::string value;
  const Status status = backend_->Get(Family::kMeta, key, value);
  COPPICE_CHECK(status.ok() || status.code() == StatusCode::kNotFound, "meta can be read");
  return value;
}

void StoreImpl::ScanMeta(
    std::string_view prefix,
    const std::function<void(std::string_view, std::string_view)>& visit) const {
  const Status status =
      backend_->Scan(Family::kMeta, prefix, "", [&](std::string_view key, std::string_view value) {
        if (!key.starts_with(prefix)) return false;
        visit(key, value);
        return true;
      });
  COPPICE_CHECK(status.ok(), "meta can be read");
}

bool StoreImpl::AlarmActive(AlarmType type) const {
  return std::any_of(state_.alarms.begin(), state_.alarms.end(),
                     [type](const auto& alarm) { return alarm.first == type; });
}

std::vector<std::pair<NodeId, AlarmType>> StoreImpl::Alarms() const {
  std::vector<std::pair<NodeId, AlarmType>> alarms;
  for (const auto& [type, member] : state_.alarms) alarms.emplace_back(member, type);
  return alarms;
}

// --- Reads of a view.

ReadState StoreImpl::StateOf(const ReadView& view) const {
  return {static_cast<const Inner*>(view.root), view.revision, view.compact_revision,
          RowSource(*backend_)};
}

Error StoreImpl::Range(int /*loop*/, const ReadView& view, const RangeOp& op,
                       RangeResult& out) const {
  return ReadRange(StateOf(view), op, out);
}

Error StoreImpl::ReadTxn(int /*loop*/, const ReadView& view, const TxnOp& txn,
                         TxnResult& out) const {
  COPPICE_CHECK(ReadOnly(txn));
  TxnRun run(StateOf(view), txn);
  if (const Error error = run.Prepare(); error != Error::kNone) return error;
  run.Execute(nullptr, out);
  return Error::kNone;
}

}  // namespace coppice::mvcc
