#include "common/mvcc/testing/model.h"

#include <algorithm>
#include <sstream>

#include "common/base/coding.h"

namespace coppice::mvcc::testing {
namespace {

bool HasPut(const std::vector<Op>& ops) {
  for (const Op& op : ops) {
    if (std::holds_alternative<PutOp>(op)) return true;
    const auto* nested = std::get_if<std::unique_ptr<TxnOp>>(&op);
    if (nested != nullptr && (HasPut((*nested)->success) || HasPut((*nested)->failure)))
      return true;
  }
  return false;
}

std::string Framed(char tag, const Kv& kv) {
  const std::string bytes = EncodeKv(kv);
  std::string out(1, tag);
  PutVarint(out, bytes.size());
  return out + bytes;
}

std::int64_t Number(CompareTarget target, const Kv& kv) {
  switch (target) {
    case CompareTarget::kVersion:
      return kv.version;
    case CompareTarget::kCreate:
      return kv.create;
    case CompareTarget::kMod:
      return kv.mod;
    default:
      return kv.lease;
  }
}

template <typename T>
bool Related(CompareResult result, const T& a, const T& b) {
  switch (result) {
    case CompareResult::kEqual:
      return a == b;
    case CompareResult::kNotEqual:
      return a != b;
    case CompareResult::kGreater:
      return a > b;
    case CompareResult::kLess:
      return a < b;
  }
  return false;
}

bool Before(SortTarget target, const Kv& a, const Kv& b) {
  switch (target) {
    case SortTarget::kKey:
      return a.key < b.key;
    case SortTarget::kVersion:
      return a.version < b.version;
    case SortTarget::kCreate:
      return a.create < b.create;
    case SortTarget::kMod:
      return a.mod < b.mod;
    case SortTarget::kValue:
      return a.value < b.value;
  }
  return false;
}

void Sort(const RangeOp& op, std::vector<Kv>& kvs) {
  if (op.sort_target == SortTarget::kKey && op.sort_order != SortOrder::kDescend) return;
  std::stable_sort(kvs.begin(), kvs.end(), [&op](const Kv& a, const Kv& b) {
    return op.sort_order == SortOrder::kDescend ? Before(op.sort_target, b, a)
                                                : Before(op.sort_target, a, b);
  });
}

void Filter(const RangeOp& op, std::vector<Kv>& kvs) {
  std::erase_if(kvs, [&op](const Kv& kv) {
    return (op.min_mod_revision != 0 && kv.mod < op.min_mod_revision) ||
           (op.max_mod_revision != 0 && kv.mod > op.max_mod_revision) ||
           (op.min_create_revision != 0 && kv.create < op.min_create_revision) ||
           (op.max_create_revision != 0 && kv.create > op.max_create_revision);
  });
}

void Cut(std::int64_t limit, std::vector<Kv>& kvs) {
  if (limit > 0 && static_cast<std::int64_t>(kvs.size()) > limit) {
    kvs.resize(static_cast<std::size_t>(limit));
  }
}

void Print(std::ostream& out, const TxnResult& txn);
void Print(std::ostream& out, const RangeResult& range) {
  out << "range @" << range.revision << " count " << range.count << (range.more ? " more" : "");
  for (const Kv& kv : ParseKvs(range.kvs)) out << " [" << kv << "]";
  out << " bytes " << range.kvs.size();
}
void Print(std::ostream& out, const PutResult& put) {
  out << "put @" << put.revision;
  if (!put.prev_kv.empty()) out << " prev [" << ParseKv(put.prev_kv) << "]";
}
void Print(std::ostream& out, const DeleteResult& erase) {
  out << "delete @" << erase.revision << " deleted " << erase.deleted;
  for (const Kv& kv : ParseKvs(erase.prev_kvs)) out << " prev [" << kv << "]";
}
void Print(std::ostream& out, const std::unique_ptr<TxnResult>& txn) {
  Print(out, *txn);
}
void Print(std::ostream& out, const TxnResult& txn) {
  out << (txn.succeeded ? "success {" : "failure {");
  for (const OpResult& response : txn.responses) {
    std::visit([&out](const auto& result) { Print(out, result); }, response);
    out << "; ";
  }
  out << "}";
}
void Print(std::ostream& out, const CompactResult& /*result*/) {
  out << "compacted";
}
void Print(std::ostream& out, const AlarmResult& result) {
  out << "alarm " << static_cast<int>(result.type) << " of " << result.member.value();
}
void Print(std::ostream& out, const std::monostate& /*result*/) {
  out << "nothing";
}

}  // namespace

std::string Describe(const CommandResult& result) {
  std::ostringstream out;
  out << "error " << static_cast<int>(result.error) << " revision " << result.revision << ": ";
  if (result.error == Error::kNone) {
    std::visit([&out](const auto& value) { Print(out, value); }, result.value);
  }
  return out.str();
}

std::string Describe(const RangeResult& result) {
  std::ostringstream out;
  Print(out, result);
  return out.str();
}

// --- Commands.

CommandResult Model::Apply(const Command& command) {
  CommandResult result;
  if (!Refused(command, result.error)) {
    result.error = std::visit([&](const auto& op) { return Run(op, result); }, command);
  }
  if (!running_.empty()) {
    ++revision_;
    changes_.push_back(std::move(running_));
    running_.clear();
  }
  result.revision = revision_;
  return result;
}

bool Model::Refused(const Command& command, Error& error) const {
  bool no_space = false;
  bool corrupt = false;
  for (const auto& [alarm, active] : alarms_) {
    no_space = no_space || (active && alarm.first == static_cast<int>(AlarmType::kNoSpace));
    corrupt = corrupt || (active && alarm.first == static_cast<int>(AlarmType::kCorrupt));
  }
  if (std::holds_alternative<AlarmOp>(command)) return false;
  const auto* txn = std::get_if<TxnOp>(&command);
  const bool puts = std::holds_alternative<PutOp>(command) ||
                    (txn != nullptr && (HasPut(txn->success) || HasPut(txn->failure)));
  if (corrupt) error = Error::kCorrupt;
  if (!corrupt && no_space && puts) error = Error::kNoSpace;
  return error != Error::kNone;
}

Error Model::Run(const PutOp& op, CommandResult& out) {
  if (const Error error = CheckPut(op); error != Error::kNone) return error;
  out.value = Put(op);
  return Error::kNone;
}

Error Model::Run(const DeleteOp& op, CommandResult& out) {
  out.value = Delete(op);
  return Error::kNone;
}

Error Model::Run(const TxnOp& op, CommandResult& out) {
  if (const Error error = Check(op); error != Error::kNone) return error;
  TxnResult result;
  Execute(op, result);
  out.value = std::move(result);
  return Error::kNone;
}

Error Model::Run(const CompactOp& op, CommandResult& out) {
  if (op.revision <= compact_) return Error::kCompacted;
  if (op.revision > revision_) return Error::kFutureRevision;
  compact_ = op.revision;
  out.value = CompactResult();
  return Error::kNone;
}

Error Model::Run(const AlarmOp& op, CommandResult& out) {
  out.value = AlarmResult();
  if (op.type == AlarmType::kNone) return Error::kNone;
  bool& up = alarms_[{static_cast<int>(op.type), op.member}];
  if (up || op.activate) out.value = AlarmResult{op.member, op.type};
  up = op.activate;
  return Error::kNone;
}

// --- Reading.

std::optional<Kv> Model::Newest(const std::vector<Kv>& versions, Revision revision) {
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (version->mod > revision) continue;
    if (version->version == 0) return std::nullopt;
    return *version;
  }
  return std::nullopt;
}

std::optional<Kv> Model::Find(const std::string& key, Revision revision) const {
  const auto at = versions_.find(key);
  return at == versions_.end() ? std::nullopt : Newest(at->second, revision);
}

std::vector<Kv> Model::List(const KeyRange& range, Revision revision) const {
  std::vector<Kv> kvs;
  for (auto at = versions_.lower_bound(range.begin); at != versions_.end(); ++at) {
    if (!range.Contains(at->first)) break;
    if (auto kv = Newest(at->second, revision)) kvs.push_back(std::move(*kv));
  }
  return kvs;
}

Model::Answer Model::RangeAt(const RangeOp& op, Revision current) const {
  Answer out;
  out.kvs = List(op.range, op.revision <= 0 ? current : op.revision);
  out.count = static_cast<std::int64_t>(out.kvs.size());
  if (op.count_only) {
    out.kvs.clear();
    return out;
  }
  if (!op.filtered() && op.sort_order == SortOrder::kNone && op.limit > 0) {
    Cut(op.limit + 1, out.kvs);
  }
  Filter(op, out.kvs);
  Sort(op, out.kvs);
  out.more = op.limit > 0 && static_cast<std::int64_t>(out.kvs.size()) > op.limit;
  Cut(op.limit, out.kvs);
  if (op.keys_only) {
    for (Kv& kv : out.kvs) kv.value.clear();
  }
  return out;
}

Error Model::Read(const RangeOp& op, Revision current, RangeResult& out) const {
  out.revision = current;
  if (op.revision > current) return Error::kFutureRevision;
  const Revision revision = op.revision <= 0 ? current : op.revision;
  if (revision < compact_) return Error::kCompacted;
  const Answer answer = RangeAt(op, current);
  out.count = answer.count;
  out.more = answer.more;
  for (const Kv& kv : answer.kvs) out.kvs += Framed('\x12', kv);
  return Error::kNone;
}

TxnResult Model::ReadTxnAt(const TxnOp& txn, Revision current) const {
  TxnResult out;
  for (const Op& op : Branch(txn, current, out.succeeded)) {
    if (const auto* range = std::get_if<RangeOp>(&op)) {
      RangeResult result;
      const Answer answer = RangeAt(*range, current);
      result.revision = current;
      result.count = answer.count;
      result.more = answer.more;
      for (const Kv& kv : answer.kvs) result.kvs += Framed('\x12', kv);
      out.responses.emplace_back(std::move(result));
    } else {
      const TxnOp& nested = *std::get<std::unique_ptr<TxnOp>>(op);
      out.responses.emplace_back(std::make_unique<TxnResult>(ReadTxnAt(nested, current)));
    }
  }
  return out;
}

// --- Transactions. Compares and checks ask for the revision before the transaction.

bool Model::Holds(const Compare& compare, Revision revision) const {
  std::vector<Kv> kvs = List(compare.range, revision);
  if (kvs.empty() && compare.target == CompareTarget::kValue) return false;
  if (kvs.empty()) kvs.emplace_back();
  return std::all_of(kvs.begin(), kvs.end(), [&compare](const Kv& kv) {
    return compare.target == CompareTarget::kValue
               ? Related(compare.result, kv.value, compare.value)
               : Related(compare.result, Number(compare.target, kv), compare.number);
  });
}

const std::vector<Op>& Model::Branch(const TxnOp& txn, Revision revision, bool& succeeded) const {
  succeeded = std::all_of(txn.compares.begin(), txn.compares.end(),
                          [&](const Compare& compare) { return Holds(compare, revision); });
  return succeeded ? txn.success : txn.failure;
}

Error Model::CheckPut(const PutOp& op) const {
  if (op.lease != 0) return Error::kLeaseNotFound;
  const bool needs = op.ignore_value || op.ignore_lease;
  return needs && !Find(op.key, revision_) ? Error::kKeyNotFound : Error::kNone;
}

Error Model::Check(const TxnOp& txn) const {
  bool succeeded = false;
  for (const Op& op : Branch(txn, revision_, succeeded)) {
    Error error = Error::kNone;
    if (const auto* range = std::get_if<RangeOp>(&op)) {
      if (range->revision > revision_) error = Error::kFutureRevision;
      if (range->revision != 0 && range->revision < compact_) error = Error::kCompacted;
    } else if (const auto* put = std::get_if<PutOp>(&op)) {
      error = CheckPut(*put);
    } else if (const auto* nested = std::get_if<std::unique_ptr<TxnOp>>(&op)) {
      error = Check(**nested);
    }
    if (error != Error::kNone) return error;
  }
  return Error::kNone;
}

void Model::Execute(const TxnOp& txn, TxnResult& out) {
  for (const Op& op : Branch(txn, revision_, out.succeeded)) {
    if (const auto* range = std::get_if<RangeOp>(&op)) {
      RangeResult result;
      Read(*range, now(), result);
      out.responses.emplace_back(std::move(result));
    } else if (const auto* put = std::get_if<PutOp>(&op)) {
      out.responses.emplace_back(Put(*put));
    } else if (const auto* erase = std::get_if<DeleteOp>(&op)) {
      out.responses.emplace_back(Delete(*erase));
    } else {
      auto nested = std::make_unique<TxnResult>();
      Execute(*std::get<std::unique_ptr<TxnOp>>(op), *nested);
      out.responses.emplace_back(std::move(nested));
    }
  }
}

PutResult Model::Put(const PutOp& op) {
  const std::optional<Kv> before = Find(op.key, now());
  Kv kv{op.key, op.value, revision_ + 1, revision_ + 1, 1, op.lease};
  if (op.ignore_value) kv.value = before ? before->value : "";
  if (op.ignore_lease) kv.lease = before ? before->lease : 0;
  if (before) {
    kv.create = before->create;
    kv.version = before->version + 1;
  }
  Add(kv);
  return {now(), op.prev_kv && before ? EncodeKv(*before) : ""};
}

DeleteResult Model::Delete(const DeleteOp& op) {
  DeleteResult result;
  for (const Kv& kv : List(op.range, now())) {
    if (op.prev_kv) result.prev_kvs += Framed('\x1a', kv);
    Add({.key = kv.key, .mod = revision_ + 1});
    ++result.deleted;
  }
  result.revision = now();
  return result;
}

void Model::Add(const Kv& kv) {
  running_.push_back({kv, Find(kv.key, revision_ + 1)});
  versions_[kv.key].push_back(kv);
}

}  // namespace coppice::mvcc::testing
