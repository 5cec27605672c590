#include "loadgen/check_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loadgen/check_watches.h"
#include "loadgen/log_model.h"

namespace coppice::loadgen {
namespace {

// The highest revision that is certain to be committed, as somebody was told of it.
Revision HighestTold(const History& history) {
  Revision highest = 0;
  for (const Record& record : history) {
    if (record.outcome != RecordOutcome::kOk || record.kind == RecordKind::kWatch) continue;
    highest = std::max({highest, record.revision, record.mod_revision});
  }
  return highest;
}

using Seen = std::pair<Revision, std::string_view>;  // an event's

class LogChecker {
 public:
  LogChecker(const LogModel& model, CheckReport& report) : model_(model), report_(report) {}

  void Check(const Record& record) {
    if (record.kind == RecordKind::kPut && record.value) return CheckPut(record);
    if (record.outcome != RecordOutcome::kOk || IsPastLog(record)) return;
    if (record.kind == RecordKind::kDelete) CheckDelete(record);
    if (record.kind == RecordKind::kGet) CheckGet(record);
    if (record.kind == RecordKind::kEvent) CheckEvent(record);
  }

  // `seen`: sorted.
  void CheckWatcher(const Record& begin, Revision through, const std::vector<Seen>& seen) {
    const auto& changes = model_.changes();
    auto change = std::partition_point(changes.begin(), changes.end(),
                                       [&](const auto& c) { return c.revision < begin.revision; });
    for (; change != changes.end() && change->revision <= through; ++change) {
      if (!Covers(begin, change->key)) continue;
      if (std::binary_search(seen.begin(), seen.end(), Seen(change->revision, change->key))) {
        continue;
      }
      Fail("log-gap", begin, &*change, fmt::format("it saw all up to revision {}", through));
    }
  }

 private:
  void Fail(std::string_view rule, const Record& record, const LogModel::Change* change,
            std::string_view why) {
    std::string log = "nothing";
    if (change != nullptr) {
      log = fmt::format("revision {}, key {}: {}", change->revision, change->key,
                        change->value ? *change->value : "deleted");
    }
    report_.Add(rule, fmt::format("the log has {}\n  but {} ({})", log, FormatRecord(record), why));
  }

  bool IsPastLog(const Record& record) {
    const Revision highest = std::max(record.revision, record.mod_revision);
    if (record.kind == RecordKind::kWatch || highest <= model_.revision()) return false;
    Fail("past-log", record, nullptr, fmt::format("it ends at revision {}", model_.revision()));
    return true;
  }

  void CheckPut(const Record& put) {
    const std::vector<Revision> puts = model_.PutsOf(put.key, *put.value);
    if (puts.size() > 1) {
      Fail("twice-in-log", put, model_.ChangeAt(put.key, puts[0]),
           fmt::format("and once more at {}", puts[1]));
    }
    if (put.outcome == RecordOutcome::kFail && !puts.empty()) {
      Fail("refused-in-log", put, model_.ChangeAt(put.key, puts[0]), "it was refused");
    }
    if (put.outcome != RecordOutcome::kOk || IsPastLog(put)) return;
    ++report_.log->writes;
    if (puts.empty()) {
      Fail("not-in-log", put, model_.ChangeAt(put.key, put.revision), "it was acknowledged");
    } else if (puts[0] != put.revision) {
      Fail("log-revision", put, model_.ChangeAt(put.key, puts[0]), "the same write");
    }
  }

  void CheckDelete(const Record& record) {
    ++report_.log->writes;
    const LogModel::Change* change = model_.ChangeAt(record.key, record.revision);
    if (change == nullptr || change->value) Fail("not-in-log", record, change, "acknowledged");
  }

  void CheckGet(const Record& read) {
    ++report_.log->reads;
    const LogModel::Change* state = model_.StateAt(read.key, read.revision);
    const bool absent = state == nullptr || !state->value;
    const bool same =
        absent ? !read.value : read.value == state->value && read.mod_revision == state->revision;
    if (!same) Fail("log-read", read, state, "the key's last change up to that revision");
  }

  void CheckEvent(const Record& event) {
    ++report_.log->events;
    const LogModel::Change* change = model_.ChangeAt(event.key, event.mod_revision);
    if (change == nullptr || change->value != event.value) {
      Fail("log-event", event, change, "of that key at that revision");
    }
  }

  const LogModel& model_;
  CheckReport& report_;
};

struct Watcher {
  const Record* begin = nullptr;
  Revision through = 0;
  bool ended = false;
  std::vector<Seen> seen;
};

std::map<std::uint64_t, Watcher> WatchersOf(const History& history) {
  std::map<std::uint64_t, Watcher> watchers;
  for (const Record& record : history) {
    if (IsCall(record)) continue;
    Watcher& watcher = watchers[record.client];
    if (record.kind == RecordKind::kWatch) watcher.begin = &record;
    if (record.kind == RecordKind::kWatchEnd) {
      watcher.through = record.revision;
      watcher.ended = true;
    }
    if (record.kind != RecordKind::kEvent) continue;
    watcher.seen.emplace_back(record.mod_revision, record.key);
    if (!watcher.ended) watcher.through = std::max(watcher.through, record.mod_revision);
  }
  for (auto& [id, watcher] : watchers) std::sort(watcher.seen.begin(), watcher.seen.end());
  return watchers;
}

}  // namespace

Status CheckLog(const History& history, const SurvivingLog& log, CheckReport& report) {
  COPPICE_ASSIGN_OR_RETURN(const LogModel model, LogModel::Replay(log, HighestTold(history)));
  report.log = model.summary();
  LogChecker checker(model, report);
  for (const Record& record : history) checker.Check(record);
  for (const auto& [id, watcher] : WatchersOf(history)) {
    if (watcher.begin != nullptr) {
      checker.CheckWatcher(*watcher.begin, watcher.through, watcher.seen);
    }
  }
  return OkStatus();
}

}  // namespace coppice::loadgen
