#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/api/parse.h"
#include "etcd/rpc.pb.h"
#include "loadgen/check_keys.h"
#include "loadgen/sim/checks/checks.h"

namespace coppice::sim {
namespace {

using loadgen::History;
using loadgen::Oracle;
using loadgen::Record;
using loadgen::RecordKind;
using loadgen::RecordOutcome;

constexpr std::uint64_t kStepsMax = 3'000'000;  // of one key's search; more is a failure

// What one mutation did to each key that it changed: a write of the register.
void AddWrites(const OpRecord& op, const Oracle& oracle, History& out) {
  for (const std::size_t place : oracle.Tagged(op.tag)) {
    const Oracle::Mutation& done = oracle.mutations()[place];
    if (!done.changed()) continue;
    for (const auto& change : oracle.model().At(done.after)) {
      Record& record = out.emplace_back();
      record.kind = change.kv.version == 0 ? RecordKind::kDelete : RecordKind::kPut;
      record.outcome = op.outcome == Outcome::kOk ? RecordOutcome::kOk : RecordOutcome::kUnknown;
      record.client = static_cast<std::uint64_t>(op.client);
      record.invoke = op.invoke;
      record.end = op.end;
      record.key = change.kv.key;
      if (change.kv.version != 0) record.value = change.kv.value;
      record.revision = record.mod_revision = done.after;
    }
  }
}

// A linearizable range is a read of each key in it.
void AddReads(const OpRecord& op, const std::map<std::string, bool>& keys, History& out) {
  api::ParsedRange parsed;
  etcdserverpb::RangeResponse response;
  if (!api::ParseRange(op.request, parsed).ok() || !response.ParseFromString(op.response)) return;
  const mvcc::RangeOp& range = parsed.op;
  if (range.limit != 0 || range.revision != 0 || range.keys_only || range.count_only ||
      range.filtered()) {
    return;
  }
  std::map<std::string, const mvccpb::KeyValue*> found;
  for (const mvccpb::KeyValue& kv : response.kvs()) found[kv.key()] = &kv;
  for (const auto& [key, there] : keys) {
    if (!range.range.Contains(key)) continue;
    Record& record = out.emplace_back();
    record.kind = RecordKind::kGet;
    record.client = static_cast<std::uint64_t>(op.client);
    record.invoke = op.invoke;
    record.end = op.end;
    record.key = key;
    record.revision = op.revision;
    const auto kv = found.find(key);
    if (kv == found.end()) continue;
    record.value = kv->second->value();
    record.mod_revision = kv->second->mod_revision();
  }
}

}  // namespace

void CheckRegisters(const Evidence& evidence, Findings& findings) {
  History registers;
  for (const auto& op : evidence.history.ops) {
    if (op->mutation && !op->tag.empty()) AddWrites(*op, evidence.oracle, registers);
  }
  std::map<std::string, bool> keys;
  for (const Record& record : registers) keys[record.key] = true;
  for (const auto& op : evidence.history.ops) {
    if (op->kind != OpKind::kRange || op->outcome != Outcome::kOk) continue;
    if (op->consistency.mode == ReadMode::kLinearizable) AddReads(*op, keys, registers);
  }
  loadgen::CheckReport report;
  loadgen::CheckKeys(registers, kStepsMax, report);
  for (const loadgen::Violation& violation : report.violations) {
    findings.Add("register", 0, violation.rule + ": " + violation.what);
  }
}

}  // namespace coppice::sim
