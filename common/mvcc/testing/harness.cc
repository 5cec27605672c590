#include "common/mvcc/testing/harness.h"

#include <filesystem>

#include "common/base/check.h"
#include "common/mvcc/rocksdb_backend.h"

namespace coppice::mvcc::testing {

RocksDbPlace::RocksDbPlace() {
  std::string pattern = (std::filesystem::temp_directory_path() / "coppice-mvcc-XXXXXX").string();
  COPPICE_CHECK(mkdtemp(pattern.data()) != nullptr);
  dir_ = pattern;
}

RocksDbPlace::~RocksDbPlace() {
  std::filesystem::remove_all(dir_);
}

std::unique_ptr<KvBackend> RocksDbPlace::Open() {
  auto backend = OpenRocksDb(dir_ + "/db");
  COPPICE_CHECK(backend.ok());
  return std::move(backend).value();
}

Kv ToKv(const Record& record) {
  return ParseKv(record.encoded());
}

Harness::Harness(std::unique_ptr<Place> place, StoreOptions options)
    : place_(std::move(place)), options_(options) {
  Reopen();
}

void Harness::Reopen() {
  if (store_ != nullptr) {
    store_.reset();
    place_->Crash();
  }
  auto store = Store::Open(place_->Open(), options_);
  COPPICE_CHECK(store.ok());
  store_ = std::move(store).value();
  const auto applied = View().applied.value();
  store_->Quiesce(0, true);
  COPPICE_CHECK(applied <= log_.size());
  ApplyOutput out;
  COPPICE_CHECK(store_->Apply(std::span(log_).subspan(applied), {}, out).ok());
}

ApplyOutput Harness::Apply(std::vector<Command> commands, std::vector<MetaWrite> meta) {
  const std::size_t before = log_.size();
  for (const Command& command : commands) {
    log_.push_back(
        Entry::Make(Term(1), Index(log_.size() + 1), RecordKind::kCommand, EncodeCommand(command)));
  }
  if (std::exchange(fail_next_, false)) TryInVain(std::span(log_).subspan(before));
  ApplyOutput out;
  const Status status = store_->Apply(std::span(log_).subspan(before), meta, out);
  COPPICE_CHECK(status.ok());
  store_->Quiesce(0, true);
  return out;
}

void Harness::TryInVain(std::span<const EntryPtr> entries) {
  if (!place_->FailWrites(true)) return;
  const ReadView before = View();
  ApplyOutput out;
  COPPICE_CHECK(!store_->Apply(entries, {}, out).ok());
  COPPICE_CHECK(out.results.empty() && View().root == before.root);
  store_->Quiesce(0, true);
  store_->CollectGarbage();
  place_->FailWrites(false);
  store_->CollectGarbage();
}

CommandResult Harness::Apply(Command command) {
  std::vector<Command> commands;
  commands.push_back(std::move(command));
  return std::move(Apply(std::move(commands)).results.at(0).second);
}

Revision Harness::Put(std::string key, std::string value) {
  return Apply(MakePut(std::move(key), std::move(value))).revision;
}

std::int64_t Harness::Delete(KeyRange range) {
  return std::get<DeleteResult>(Apply(DeleteOp{.range = std::move(range)}).value).deleted;
}

Error Harness::Compact(Revision revision) {
  return Apply(CompactOp{revision}).error;
}

void Harness::CollectAll() {
  while (store_->CollectGarbage()) {
  }
}

RangeResult Harness::Range(const RangeOp& op, Error expected) {
  RangeResult result;
  const Error error = store_->Range(0, View(), op, result);
  store_->Quiesce(0, true);
  COPPICE_CHECK(error == expected);
  return result;
}

std::vector<EventBatchPtr> Harness::History(Revision from, bool with_prev) {
  std::vector<EventBatchPtr> batches;
  const Revision to = View().revision;
  store_->Quiesce(0, true);
  while (from <= to) {
    COPPICE_CHECK(store_->ScanHistory(from, to, 3, with_prev, batches, from) == Error::kNone);
  }
  return batches;
}

KeyRange Key(std::string_view key) {
  return KeyRange::FromWire(key, "");
}
KeyRange Between(std::string_view begin, std::string_view end) {
  return KeyRange::FromWire(begin, end);
}
KeyRange All() {
  const std::string_view zero("\0", 1);
  return KeyRange::FromWire(zero, zero);
}
Command MakePut(std::string key, std::string value) {
  return PutOp{.key = std::move(key), .value = std::move(value)};
}
RangeOp Get(std::string_view key, Revision revision) {
  return {.range = Key(key), .revision = revision};
}

}  // namespace coppice::mvcc::testing
