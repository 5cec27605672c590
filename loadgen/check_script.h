#pragma once

#include <string>

#include "loadgen/history.h"

namespace coppice::loadgen {

// For the checkers' tests: a history written by hand, one operation after the other unless times
// are given.
class Script {
 public:
  static constexpr Micros kBound = 500;

  Record& Put(const std::string& key, const std::string& value, Revision revision) {
    Record& record = Add(RecordKind::kPut, key);
    record.value = value;
    record.revision = record.mod_revision = revision;
    return record;
  }
  Record& Unknown(const std::string& key, const std::string& value) {
    Record& record = Put(key, value, 0);
    record.outcome = RecordOutcome::kUnknown;
    return record;
  }
  Record& Delete(const std::string& key, Revision revision) {
    Record& record = Add(RecordKind::kDelete, key);
    record.revision = revision;
    return record;
  }
  // An empty value: the key was not there.
  Record& Get(const std::string& key, const std::string& value, Revision mod, Revision revision,
              ReadMode mode = ReadMode::kLinearizable) {
    Record& record = Add(RecordKind::kGet, key);
    if (!value.empty()) record.value = value;
    record.mod_revision = mod;
    record.revision = revision;
    record.mode = mode;
    if (mode == ReadMode::kBounded) record.max_staleness = kBound;
    return record;
  }
  void Watch(Revision start) {
    Record& record = Add(RecordKind::kWatch, "");
    record.range_end = "z";
    record.revision = start;
  }
  Record& Event(const std::string& key, const std::string& value, Revision mod) {
    Record& record = Add(RecordKind::kEvent, key);
    if (!value.empty()) record.value = value;
    record.mod_revision = mod;
    return record;
  }
  Record& WatchEnd(Revision through) {
    Record& record = Add(RecordKind::kWatchEnd, "");
    record.revision = through;
    return record;
  }
  void Wait(Micros time) { now_ += time; }

  const History& history() const { return history_; }
  History& history() { return history_; }

 private:
  Record& Add(RecordKind kind, const std::string& key) {
    Record& record = history_.emplace_back();
    record.kind = kind;
    record.key = key;
    record.invoke = now_ += 10;
    record.end = now_ += 10;
    return record;
  }

  History history_;
  Time now_ = 1000;
};

}  // namespace coppice::loadgen
