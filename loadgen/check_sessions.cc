#include "loadgen/check_sessions.h"

#include <fmt/format.h>

#include <unordered_map>

#include "loadgen/acknowledged.h"

namespace coppice::loadgen {
namespace {

bool InSession(const Record& record) {
  return record.session && IsCall(record) && record.outcome == RecordOutcome::kOk;
}

const char* Rule(const Record& record, const Record& before) {
  if (record.kind != RecordKind::kGet) return "writes-follow-reads";
  return before.kind == RecordKind::kGet ? "monotonic-reads" : "read-your-writes";
}

}  // namespace

void CheckSessions(const History& history, CheckReport& report) {
  std::unordered_map<std::uint64_t, Acknowledged<const Record*>> sessions;
  for (const Record& record : history) {
    if (InSession(record)) sessions[record.client].Add(record.end, record.revision, &record);
  }
  for (auto& [client, seen] : sessions) seen.Seal();
  report.sessions = sessions.size();
  for (const Record& record : history) {
    if (!InSession(record)) continue;
    report.session_reads += record.kind == RecordKind::kGet ? 1 : 0;
    const auto [highest, before] = sessions[record.client].Before(record.invoke);
    if (before == nullptr) continue;
    const Revision wanted = record.kind == RecordKind::kGet ? highest : highest + 1;
    if (record.revision >= wanted) continue;
    report.Add(Rule(record, *before),
               fmt::format("session of client {} had seen {}\n  but {}", record.client,
                           FormatRecord(*before), FormatRecord(record)));
  }
}

}  // namespace coppice::loadgen
