#include "common/replica/watch_hub.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/replica/watch_events.h"

namespace coppice::replica {
namespace {

using State = HubWatcher::State;

HubWatcher& Of(mvcc::Watcher& watcher) {
  return static_cast<HubWatcher&>(watcher);
}

// Takes out list[at] by moving the last one there; returns whom it moved, or null.
HubWatcher* SwapRemove(std::vector<HubWatcher*>& list, std::uint32_t at) {
  HubWatcher* const last = list.back();
  list.pop_back();
  if (at == list.size()) return nullptr;
  list[at] = last;
  return last;
}

void AddAll(std::vector<HubWatcher*>& list, HubWatcher& watcher) {
  watcher.all_position = static_cast<std::uint32_t>(list.size());
  list.push_back(&watcher);
}

void RemoveAll(std::vector<HubWatcher*>& list, const HubWatcher& watcher) {
  HubWatcher* const moved = SwapRemove(list, watcher.all_position);
  if (moved != nullptr) moved->all_position = watcher.all_position;
}

void AddToGroup(std::vector<HubWatcher*>& list, HubWatcher& watcher) {
  watcher.position = static_cast<std::uint32_t>(list.size());
  list.push_back(&watcher);
}

void RemoveFromGroup(std::vector<HubWatcher*>& list, const HubWatcher& watcher) {
  HubWatcher* const moved = SwapRemove(list, watcher.position);
  if (moved != nullptr) moved->position = watcher.position;
}

}  // namespace

WatchHub::WatchHub(const WatchHubOptions& options, Revision revision, Revision compact_revision)
    : options_(options), revision_(revision), compact_(compact_revision) {}

WatchHub::~WatchHub() {
  index_.ForEachGroup([](WatchGroup& group) {
    for (HubWatcher* watcher : group.live) delete watcher;
    for (HubWatcher* watcher : group.behind) delete watcher;
  });
  for (HubWatcher* watcher : prepared_) delete watcher;
}

void WatchHub::OnBatch(const mvcc::EventBatchPtr& batch) {
  if (batch->revision <= revision_) return;
  if (batch->revision > revision_ + 1) PutBehind(batch->revision);
  revision_ = batch->revision;
  Match(*batch, /*history=*/false);
  WakePrepared();
}

void WatchHub::OnView(Revision revision, Revision compact_revision) {
  compact_ = std::max(compact_, compact_revision);
  may_scan_ = !behind_.empty();
  if (revision <= revision_) return;
  PutBehind(revision + 1);
  revision_ = revision;
  WakePrepared();
}

void WatchHub::WakePrepared() {
  for (HubWatcher* watcher : prepared_) watcher->sink->OnReady(*watcher);
}

// The revisions after revision_ and before `limit` were skipped: who wants one goes behind.
void WatchHub::PutBehind(Revision limit) {
  index_.ForEachGroup([this, limit](WatchGroup& group) {
    for (std::size_t i = group.live.size(); i-- > 0;) {
      HubWatcher& watcher = *group.live[i];
      if (watcher.next < limit) GoBehind(watcher, std::max(watcher.next, revision_ + 1));
    }
  });
}

void WatchHub::Match(const mvcc::EventBatch& batch, bool history) {
  for (const mvcc::Event& event : batch.events) {
    AddToGroups(event, batch.revision, history);
    if (COPPICE_MUTANT(kSplitRevision)) DeliverTouched(history);
  }
  DeliverTouched(history);
}

void WatchHub::DeliverTouched(bool history) {
  for (WatchGroup* group : touched_) {
    const mvcc::EncodedEventsPtr events = std::exchange(group->building, nullptr);
    if (history) {
      DeliverHistory(*group, events);
    } else {
      DeliverLive(*group, events);
    }
  }
  touched_.clear();
}

void WatchHub::AddToGroups(const mvcc::Event& event, Revision revision, bool history) {
  const bool is_delete = event.record->tombstone();
  index_.ForEachMatch(event.record->key(), [&](WatchGroup& group) {
    if (is_delete ? group.filters.no_delete : group.filters.no_put) return;
    if ((history ? group.behind : group.live).empty()) return;
    if (group.building == nullptr) {
      group.building = std::make_shared<mvcc::EncodedEvents>();
      group.building->revision = revision;
      touched_.push_back(&group);
    }
    const bool prev = group.prev_kv && event.prev != nullptr && !event.prev->tombstone();
    AppendEvent(*group.building, is_delete, event.record->encoded(),
                prev ? event.prev->encoded() : std::string_view());
  });
}

void WatchHub::DeliverLive(WatchGroup& group, const mvcc::EncodedEventsPtr& events) {
  for (std::size_t i = 0; i < group.live.size();) {
    HubWatcher& watcher = *group.live[i];
    if (watcher.next > events->revision) {
      ++i;
    } else if (watcher.sink->writable) {
      watcher.sink->OnEvents(watcher, events);
      ++i;
    } else {
      GoBehind(watcher, events->revision);  // another takes its place in the list
    }
  }
}

void WatchHub::DeliverHistory(WatchGroup& group, const mvcc::EncodedEventsPtr& events) {
  for (HubWatcher* watcher : group.behind) {
    if (!watcher->scanning || watcher->next > events->revision) continue;
    if (watcher->sink->writable) {
      watcher->sink->OnEvents(*watcher, events);
    } else {
      watcher->next = events->revision;
      watcher->scanning = false;
    }
  }
}

std::optional<NeedHistory> WatchHub::PollHistory() {
  if (scan_out_ || !may_scan_) return std::nullopt;
  const std::optional<Revision> from = NextScan();
  may_scan_ = from.has_value();
  if (!may_scan_) return std::nullopt;
  NeedHistory need{.from = *from, .to = revision_, .rows_max = options_.rows_max};
  for (HubWatcher* watcher : behind_) {
    const bool within =
        watcher->next >= *from && watcher->next <= *from + options_.cohort_revisions;
    if (!watcher->sink->writable || !within) continue;
    watcher->scanning = true;
    need.with_prev = need.with_prev || watcher->group->prev_kv;
  }
  scan_out_ = true;
  return need;
}

// The oldest cohort and the newest take turns: one that is far behind does not hold up those that
// are nearly there, and they not it.
std::optional<Revision> WatchHub::NextScan() {
  Revision oldest = INT64_MAX;
  Revision newest = 0;
  for (const HubWatcher* watcher : behind_) {
    if (!watcher->sink->writable) continue;
    oldest = std::min(oldest, watcher->next);
    newest = std::max(newest, watcher->next);
  }
  if (oldest == INT64_MAX) return std::nullopt;
  newest_next_ = !newest_next_;
  if (newest_next_ || newest <= oldest + options_.cohort_revisions) return oldest;
  Revision from = newest;
  for (const HubWatcher* watcher : behind_) {
    const bool near = watcher->next + options_.cohort_revisions >= newest;
    if (watcher->sink->writable && near) from = std::min(from, watcher->next);
  }
  return from;
}

void WatchHub::OnHistory(const History& history) {
  COPPICE_CHECK(scan_out_, "history comes only when it was asked for");
  scan_out_ = false;
  if (history.error != mvcc::Error::kNone) {
    may_scan_ = false;  // until OnView says what changed: asking at once would spin
    const bool compacted = history.error == mvcc::Error::kCompacted;
    for (std::size_t i = behind_.size(); i-- > 0;) {
      HubWatcher& watcher = *behind_[i];
      if (!std::exchange(watcher.scanning, false)) continue;
      if (compacted && watcher.next < compact_) Cancel(watcher, compact_, kWatchCompacted);
    }
    return;
  }
  for (const mvcc::EventBatchPtr& batch : history.batches) {
    if (batch->revision < history.next) Match(*batch, /*history=*/true);
  }
  FinishScan(history.next);
}

void WatchHub::FinishScan(Revision next) {
  for (std::size_t i = behind_.size(); i-- > 0;) {
    HubWatcher& watcher = *behind_[i];
    if (!std::exchange(watcher.scanning, false)) continue;
    watcher.next = std::max(watcher.next, next);
    if (watcher.next <= revision_) continue;
    Unlist(watcher);
    // Complete() takes `next` for the start, and this one has started.
    GoLive(watcher, std::min(watcher.next, revision_));
  }
}

void WatchHub::Tick(Time now, Revision ring_first) {
  for (std::size_t i = behind_.size(); i-- > 0;) {
    HubWatcher& watcher = *behind_[i];
    if (watcher.sink->writable || watcher.next >= ring_first) continue;
    if (now - watcher.sink->blocked_since < options_.stall_max) continue;
    const bool compacted = watcher.next < compact_;
    Cancel(watcher, compacted ? compact_ : 0, compacted ? kWatchCompacted : kWatchTooSlow);
  }
}

mvcc::Watcher* WatchHub::Prepare(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink) {
  WatchGroup* group = index_.FindOrAdd(spec.range, spec.filters, spec.prev_kv);
  auto* watcher = new HubWatcher(group, sink);
  watcher->next = spec.start;
  watcher->min_revision = spec.min_revision;
  AddAll(prepared_, *watcher);
  ++group->prepared;
  ++watchers_;
  return watcher;
}

bool WatchHub::TryOpen(mvcc::Watcher& base) {
  HubWatcher& watcher = Of(base);
  if (revision_ < std::max(watcher.min_revision, watcher.sink->floor)) return false;
  const Revision start = watcher.next;
  Unlist(watcher);
  if (start == 0 || start > revision_) {
    GoLive(watcher, start == 0 ? revision_ : start);
  } else {
    GoBehind(watcher, start);
  }
  watcher.sink->OnOpened(watcher, revision_);
  if (start != 0 && start < compact_) Cancel(watcher, compact_, kWatchCompacted);
  return true;
}

void WatchHub::Close(mvcc::Watcher& watcher) {
  Free(Of(watcher));
}

void WatchHub::Drained(mvcc::WatchSink& /*sink*/) {
  may_scan_ = may_scan_ || !behind_.empty();
}

Revision WatchHub::Complete(const mvcc::Watcher& base) const {
  const auto& watcher = static_cast<const HubWatcher&>(base);
  return watcher.state == State::kLive && watcher.next <= revision_ ? revision_ : 0;
}

void WatchHub::GoLive(HubWatcher& watcher, Revision next) {
  watcher.state = State::kLive;
  watcher.next = next;
  AddToGroup(watcher.group->live, watcher);
}

void WatchHub::GoBehind(HubWatcher& watcher, Revision next) {
  if (watcher.state == State::kLive) Unlist(watcher);
  watcher.state = State::kBehind;
  watcher.next = next;
  AddToGroup(watcher.group->behind, watcher);
  AddAll(behind_, watcher);
  may_scan_ = true;
  watcher.sink->OnBehind(watcher);
}

void WatchHub::Unlist(HubWatcher& watcher) {
  switch (watcher.state) {
    case State::kPrepared:
      RemoveAll(prepared_, watcher);
      --watcher.group->prepared;
      break;
    case State::kLive:
      RemoveFromGroup(watcher.group->live, watcher);
      break;
    case State::kBehind:
      RemoveFromGroup(watcher.group->behind, watcher);
      RemoveAll(behind_, watcher);
      break;
  }
}

void WatchHub::Cancel(HubWatcher& watcher, Revision compact, std::string_view reason) {
  watcher.sink->OnCanceled(watcher, compact, reason);
  Free(watcher);
}

void WatchHub::Free(HubWatcher& watcher) {
  Unlist(watcher);
  WatchGroup* const group = watcher.group;
  delete &watcher;
  --watchers_;
  if (group->live.empty() && group->behind.empty() && group->prepared == 0) index_.Remove(group);
}

}  // namespace coppice::replica
