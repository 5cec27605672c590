#include "loadgen/check_revisions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "loadgen/acknowledged.h"

namespace coppice::loadgen {
namespace {

using Seen = Acknowledged<const Record*>;

Seen WhatWasSeen(const History& history) {
  Seen seen;
  for (const Record& record : history) {
    if (record.outcome != RecordOutcome::kOk) continue;
    if (record.kind == RecordKind::kEvent) seen.Add(record.invoke, record.mod_revision, &record);
    if (IsCall(record)) seen.Add(record.end, record.revision, &record);
  }
  seen.Seal();
  return seen;
}

void CheckOrder(const Record& record, const Seen& acknowledged, CheckReport& report) {
  const auto fail = [&](std::string_view rule, Revision wanted, const Record* by) {
    report.Add(rule,
               fmt::format("revision {} at least, as seen by {}\n  but {}", wanted,
                           by == nullptr ? "itself" : FormatRecord(*by), FormatRecord(record)));
  };
  if (record.kind != RecordKind::kGet) {
    const auto [highest, by] = acknowledged.Before(record.invoke);
    if (record.revision <= highest) fail("write-order", highest + 1, by);
    return;
  }
  if (record.revision < record.min_revision) fail("under-minimum", record.min_revision, nullptr);
  if (record.mode == ReadMode::kLinearizable) {
    const auto [highest, by] = acknowledged.Before(record.invoke);
    if (record.revision < highest) fail("stale-read", highest, by);
  } else if (record.mode == ReadMode::kBounded && record.max_staleness > 0) {
    const auto [highest, by] = acknowledged.Before(record.invoke - record.max_staleness);
    if (record.revision < highest) fail("over-bound", highest, by);
  }
}

void CheckData(const Record& read, const WriteModel& model, CheckReport& report) {
  const auto& writes = model.Of(read.key);
  const auto after = writes.upper_bound(read.revision);
  const Record* wanted = after == writes.begin() ? nullptr : std::prev(after)->second;
  const Revision wanted_revision = after == writes.begin() ? 0 : std::prev(after)->first;
  const bool same = wanted == nullptr || wanted->kind == RecordKind::kDelete
                        ? !read.value
                        : read.value == wanted->value && read.mod_revision == wanted_revision;
  if (same) return;
  // What is older than an acknowledged write was lost, or is not the state at this revision.
  const bool lost = read.mod_revision < wanted_revision;
  report.Add(lost ? "lost-write" : "wrong-data",
             fmt::format("{}\n  is the key's last write up to revision {}, but {}",
                         wanted == nullptr ? "nothing" : FormatRecord(*wanted), read.revision,
                         FormatRecord(read)));
}

}  // namespace

WriteModel::WriteModel(const History& history, CheckReport& report) {
  AddPuts(history, report);
  for (const Record& record : history) {
    const bool is_seen = record.kind == RecordKind::kEvent || record.kind == RecordKind::kGet;
    if (is_seen && record.value && record.outcome == RecordOutcome::kOk) Resolve(record, report);
  }
}

void WriteModel::AddPuts(const History& history, CheckReport& report) {
  std::unordered_map<Revision, const Record*> by_revision;
  for (const Record& record : history) {
    const bool is_delete = record.kind == RecordKind::kDelete;
    if (!is_delete && (record.kind != RecordKind::kPut || !record.value)) continue;
    ++(is_delete ? report.deletes : report.puts);
    report.unknown_puts += record.outcome == RecordOutcome::kUnknown;
    if (!is_delete && !by_value_.emplace(*record.value, &record).second) {
      report.Add("not-unique", "the value was written before: " + FormatRecord(record));
    }
    if (record.outcome != RecordOutcome::kOk) continue;
    const auto [other, is_new] = by_revision.emplace(record.revision, &record);
    if (!is_new) {
      report.Add("one-revision-twice",
                 FormatRecord(*other->second) + "\n  and " + FormatRecord(record));
    }
    keys_[record.key].emplace(record.revision, &record);
    revisions_.emplace(&record, record.revision);
  }
}

// What a read or a watch shows tells the revision of a write whose outcome was unknown.
void WriteModel::Resolve(const Record& seen, CheckReport& report) {
  const Record* write = Find(*seen.value);
  if (write == nullptr || write->key != seen.key) {
    report.Add("never-written", FormatRecord(seen));
    return;
  }
  const Time seen_at = seen.kind == RecordKind::kEvent ? seen.invoke : seen.end;
  if (write->outcome == RecordOutcome::kFail) {
    report.Add("refused-write", FormatRecord(*write) + "\n  but " + FormatRecord(seen));
  }
  if (seen_at < write->invoke) {
    report.Add("before-written", FormatRecord(*write) + "\n  but " + FormatRecord(seen));
  }
  const auto [known, is_new] = revisions_.emplace(write, seen.mod_revision);
  if (is_new) {
    ++report.resolved_puts;
    keys_[write->key].emplace(seen.mod_revision, write);
  } else if (known->second != seen.mod_revision) {
    report.Add("two-revisions", fmt::format("revision {} of {}\n  but {}", known->second,
                                            FormatRecord(*write), FormatRecord(seen)));
  }
}

const WriteModel::ByRevision& WriteModel::Of(std::string_view key) const {
  static const ByRevision kNone;
  const auto it = keys_.find(key);
  return it == keys_.end() ? kNone : it->second;
}

const Record* WriteModel::Find(std::string_view value) const {
  const auto it = by_value_.find(value);
  return it == by_value_.end() ? nullptr : it->second;
}

void CheckRevisions(const History& history, const WriteModel& model, CheckReport& report) {
  const Seen acknowledged = WhatWasSeen(history);
  for (const Record& record : history) {
    const auto mode = static_cast<std::size_t>(record.mode);
    if (record.kind == RecordKind::kGet) {
      ++(record.outcome == RecordOutcome::kOk ? report.reads : report.failed_reads)[mode];
    }
    if (record.outcome != RecordOutcome::kOk) continue;
    if (!IsCall(record)) continue;
    CheckOrder(record, acknowledged, report);
    if (record.kind == RecordKind::kGet) CheckData(record, model, report);
  }
}

}  // namespace coppice::loadgen
