#include "loadgen/check_watches.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace coppice::loadgen {
namespace {

struct Watcher {
  const Record* begin = nullptr;
  const Record* end = nullptr;
  std::vector<const Record*> events;
};

// The writes that a watcher is to see, in order.
std::vector<std::pair<Revision, const Record*>> Wanted(const Record& watch,
                                                       const WriteModel& model) {
  std::vector<std::pair<Revision, const Record*>> wanted;
  for (const auto& [key, writes] : model.keys()) {
    if (!Covers(watch, key)) continue;
    wanted.insert(wanted.end(), writes.lower_bound(watch.revision), writes.end());
  }
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

void CheckEvents(const Watcher& watcher, CheckReport& report) {
  const Record* last = nullptr;
  for (const Record* event : watcher.events) {
    if (!Covers(*watcher.begin, event->key)) {
      report.Add("watch-other-key", FormatRecord(*event));
    }
    if (event->mod_revision < watcher.begin->revision) {
      report.Add("watch-before-start", FormatRecord(*event));
    }
    if (last != nullptr && event->mod_revision <= last->mod_revision) {
      const bool same =
          std::any_of(watcher.events.begin(), watcher.events.end(), [event](const Record* other) {
            return other < event && other->mod_revision == event->mod_revision;
          });
      report.Add(same ? "watch-repeat" : "watch-order",
                 FormatRecord(*last) + "\n  then " + FormatRecord(*event));
    }
    last = event;
  }
}

void CheckComplete(const Watcher& watcher, const WriteModel& model, CheckReport& report) {
  std::vector<Revision> seen;
  for (const Record* event : watcher.events) seen.push_back(event->mod_revision);
  std::sort(seen.begin(), seen.end());
  const auto wanted = Wanted(*watcher.begin, model);
  const Revision through =
      watcher.end != nullptr ? watcher.end->revision : (seen.empty() ? 0 : seen.back());
  for (const auto& [revision, write] : wanted) {
    if (revision > through) {
      if (watcher.end == nullptr) break;
      report.Add("watch-stuck",
                 fmt::format("ended at revision {}, without {}", through, FormatRecord(*write)));
      break;
    }
    if (!std::binary_search(seen.begin(), seen.end(), revision)) {
      report.Add("watch-gap", fmt::format("watcher {} never saw revision {}: {}",
                                          watcher.begin->client, revision, FormatRecord(*write)));
    }
  }
}

}  // namespace

bool Covers(const Record& watch, std::string_view key) {
  if (watch.range_end.empty()) return key == watch.key;
  return key >= watch.key && key < watch.range_end;
}

void CheckWatches(const History& history, const WriteModel& model, CheckReport& report) {
  std::map<std::uint64_t, Watcher> watchers;
  for (const Record& record : history) {
    if (record.kind == RecordKind::kWatch) watchers[record.client].begin = &record;
    if (record.kind == RecordKind::kWatchEnd) watchers[record.client].end = &record;
    if (record.kind == RecordKind::kEvent) watchers[record.client].events.push_back(&record);
  }
  for (const auto& [id, watcher] : watchers) {
    ++report.watchers;
    report.events += watcher.events.size();
    if (watcher.begin == nullptr) {
      report.Add("malformed", fmt::format("watcher {} has no record \"watch\"", id));
      continue;
    }
    CheckEvents(watcher, report);
    CheckComplete(watcher, model, report);
  }
}

}  // namespace coppice::loadgen
