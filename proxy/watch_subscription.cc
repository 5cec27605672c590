#include "proxy/watch_subscription.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/replica/watch_events.h"

namespace coppice::proxy {

using State = MuxWatcher::State;
using mvcc::EncodedEventsPtr;
using replica::Filter;
using replica::kWatchCompacted;
using replica::kWatchTooSlow;

namespace {

// What a ring's entry takes, what the allocator and the queue add included.
std::size_t CostOf(const mvcc::EncodedEvents& events) {
  constexpr std::size_t kAround = 48;
  return sizeof(events) + kAround + events.bytes.size() +
         events.ends.size() * sizeof(events.ends.front());
}

}  // namespace

Subscription::Subscription(mvcc::KeyRange range, bool prev_kv, RingBytes& rings)
    : range_(std::move(range)), prev_kv_(prev_kv), rings_(rings) {}

Subscription::~Subscription() {
  rings_.used -= ring_bytes_;
  for (auto& list : live_) {
    for (MuxWatcher* watcher : list) delete watcher;
  }
  for (MuxWatcher* watcher : behind_) delete watcher;
  for (MuxWatcher* watcher : prepared_) delete watcher;
}

// --- The main upstream.

void Subscription::OnCreated(Revision at) {
  if (created()) return;  // it resumes: what it has missed will come
  complete_ = at;
  ring_first_ = at + 1;
  // Whose start lay in the future before Reset, and does not any more: the history has the rest.
  for (auto& list : live_) {
    for (std::size_t i = list.size(); i-- > 0;) {
      MuxWatcher& watcher = *list[i];
      if (watcher.next > at) continue;
      Unlist(watcher);
      List(watcher, State::kBehind);
    }
  }
}

void Subscription::Follow(const Revision* mark) {
  complete_ = complete();
  mark_ = mark;
}

void Subscription::OnEvents(const EncodedEventsPtr& events) {
  if (events->revision <= complete() && !COPPICE_MUTANT(kResumeWatchEarly)) return;
  complete_ = events->revision;
  ring_.push_back(events);
  ring_bytes_ += CostOf(*events);
  rings_.used += CostOf(*events);
  for (std::size_t variant = 0; variant < kVariants; ++variant) {
    if (live_[variant].empty()) continue;
    const EncodedEventsPtr wanted =
        Filter(events, {.no_put = (variant & 1) != 0, .no_delete = (variant & 2) != 0});
    if (wanted != nullptr) DeliverLive(live_[variant], wanted);
  }
  TrimRing(rings_.each_max);
}

void Subscription::DeliverLive(std::vector<MuxWatcher*>& list, const EncodedEventsPtr& events) {
  for (std::size_t i = 0; i < list.size();) {
    MuxWatcher& watcher = *list[i];
    if (watcher.next > events->revision) {
      ++i;
    } else if (Takes(watcher)) {
      watcher.sink->OnEvents(watcher, events);
      ++i;
    } else {
      Unlist(watcher);  // another takes its place in the list
      watcher.next = events->revision;
      List(watcher, State::kBehind);
    }
  }
}

// Whether it is given what comes: that hangs on its own stream alone, whoever else is full.
bool Subscription::Takes(const MuxWatcher& watcher) const {
  const auto full = [](const MuxWatcher* other) { return !other->sink->writable; };
  if (COPPICE_MUTANT(kWaitForSlowest) && std::any_of(behind_.begin(), behind_.end(), full)) {
    return false;
  }
  return watcher.sink->writable;
}

void Subscription::TrimRing(std::size_t bytes_max) {
  while (ring_bytes_ > bytes_max) {
    const std::size_t cost = CostOf(*ring_.front());
    ring_first_ = ring_.front()->revision + 1;
    ring_bytes_ -= cost;
    rings_.used -= cost;
    ring_.pop_front();
  }
}

void Subscription::Reset(Revision compact_revision) {
  const Revision first_needed = std::max(complete() + 1, compact_revision);
  mark_ = nullptr;
  complete_ = 0;
  TrimRing(0);
  for (auto& list : live_) CancelBelow(first_needed, list, compact_revision);
  CancelBelow(first_needed, behind_, compact_revision);
}

void Subscription::CancelBelow(Revision next, std::vector<MuxWatcher*>& list,
                               Revision compact_revision) {
  for (std::size_t i = list.size(); i-- > 0;) {
    if (list[i]->next < next) Cancel(*list[i], compact_revision, kWatchCompacted);
  }
}

// --- Those behind.

void Subscription::Pump() {
  for (std::size_t i = behind_.size(); i-- > 0;) {
    MuxWatcher& watcher = *behind_[i];
    if (!Takes(watcher) || watcher.next < ring_first_) continue;
    if (!PumpOne(watcher)) continue;
    Unlist(watcher);
    watcher.next = complete();  // it has started; Complete() looks at that
    List(watcher, State::kLive);
  }
}

// False if the sink is full before the ring's end.
bool Subscription::PumpOne(MuxWatcher& watcher) {
  watcher.catching_up = false;
  const Revision next = COPPICE_MUTANT(kJoinSeesPastTwice) ? 0 : watcher.next;
  auto it = std::lower_bound(
      ring_.begin(), ring_.end(), next,
      [](const EncodedEventsPtr& events, Revision next) { return events->revision < next; });
  for (; it != ring_.end(); ++it) {
    const EncodedEventsPtr wanted = Filter(*it, watcher.filters);
    if (wanted == nullptr) continue;
    if (!watcher.sink->writable) {
      watcher.next = wanted->revision;
      return false;
    }
    watcher.sink->OnEvents(watcher, wanted);
  }
  return true;
}

std::optional<Revision> Subscription::BeginCatchUp(Revision cohort) {
  const auto wants = [this](const MuxWatcher* watcher) {
    return watcher->sink->writable && watcher->next < ring_first_;
  };
  if (catch_up != nullptr) {  // it may be shared by those who need only what it has still to bring
    for (MuxWatcher* watcher : behind_) {
      watcher->catching_up =
          watcher->catching_up || (wants(watcher) && watcher->next >= catch_up_next_);
    }
    return std::nullopt;
  }
  Revision from = INT64_MAX;
  for (const MuxWatcher* watcher : behind_) {
    if (wants(watcher)) from = std::min(from, watcher->next);
  }
  if (from == INT64_MAX) return std::nullopt;
  for (MuxWatcher* watcher : behind_) {
    watcher->catching_up = wants(watcher) && watcher->next <= from + cohort;
  }
  catch_up_next_ = from;
  catch_up_joined_ = false;
  return from;
}

void Subscription::OnCatchUpEvents(const EncodedEventsPtr& events) {
  // Once it was told of what the ring has, the rest is left to the ring: should that lose it before
  // they take it from there, they are caught up again.
  if (catch_up_joined_ || events->revision < catch_up_next_) return;
  if (events->revision >= ring_first_) {  // the ring has this, or the main upstream will bring it
    catch_up_next_ = ring_first_;
    catch_up_joined_ = true;
    return;
  }
  std::array<std::optional<EncodedEventsPtr>, kVariants> filtered;
  for (MuxWatcher* watcher : behind_) {
    if (!watcher->catching_up || watcher->next > events->revision) continue;
    auto& wanted = filtered[Variant(watcher->filters)];
    if (!wanted.has_value()) wanted = Filter(events, watcher->filters);
    if (*wanted == nullptr) continue;
    if (watcher->sink->writable) {
      watcher->sink->OnEvents(*watcher, *wanted);
    } else {
      watcher->next = events->revision;
      watcher->catching_up = false;
    }
  }
  catch_up_next_ = events->revision + 1;
  catch_up_joined_ = catch_up_next_ >= ring_first_;
}

void Subscription::OnCatchUpComplete(Revision revision) {
  if (catch_up_joined_) return;
  catch_up_next_ = std::max(catch_up_next_, std::min(revision + 1, ring_first_));
  catch_up_joined_ = catch_up_next_ >= ring_first_;
}

bool Subscription::CatchUpDone() const {
  if (catch_up_joined_) return true;
  return std::none_of(behind_.begin(), behind_.end(),
                      [](const MuxWatcher* watcher) { return watcher->catching_up; });
}

void Subscription::EndCatchUp() {
  for (MuxWatcher* watcher : behind_) {
    if (!std::exchange(watcher->catching_up, false)) continue;
    watcher->next = std::max(watcher->next, catch_up_next_);
  }
  catch_up.reset();
}

void Subscription::CatchUpCompacted(Revision compact_revision) {
  for (std::size_t i = behind_.size(); i-- > 0;) {
    MuxWatcher& watcher = *behind_[i];
    if (!watcher.catching_up) continue;
    watcher.next = std::max(watcher.next, catch_up_next_);
    if (watcher.next < std::min(compact_revision, ring_first_)) {
      Cancel(watcher, compact_revision, kWatchCompacted);
    }
  }
}

void Subscription::CancelStalled(Time now, Micros stall_max, Revision compact_revision) {
  for (std::size_t i = behind_.size(); i-- > 0;) {
    MuxWatcher& watcher = *behind_[i];
    if (watcher.sink->writable || watcher.next >= ring_first_) continue;
    if (now - watcher.sink->blocked_since < stall_max) continue;
    const bool compacted = watcher.next < compact_revision;
    Cancel(watcher, compacted ? compact_revision : 0, compacted ? kWatchCompacted : kWatchTooSlow);
  }
}

// --- Watchers.

MuxWatcher* Subscription::Add(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink) {
  auto* watcher = new MuxWatcher(sink, *this);
  watcher->filters = spec.filters;
  watcher->next = spec.start;
  watcher->min_revision = spec.min_revision;
  List(*watcher, State::kPrepared);
  return watcher;
}

bool Subscription::TryOpen(MuxWatcher& watcher, Revision compact_revision) {
  if (!created()) return false;
  const Revision start = watcher.next;
  // It opens at a revision that was committed, whether the upstream has reached it or not; "now" is
  // not below what the stream has seen.
  Revision at = std::max(complete(), watcher.min_revision);
  if (start == 0) at = std::max(at, watcher.sink->floor);
  Unlist(watcher);
  watcher.from_now = start == 0;
  watcher.next = start == 0 ? at + 1 : start;
  List(watcher, watcher.next > complete() ? State::kLive : State::kBehind);
  watcher.sink->OnOpened(watcher, at);
  if (start != 0 && start < compact_revision) Cancel(watcher, compact_revision, kWatchCompacted);
  return true;
}

void Subscription::Remove(MuxWatcher& watcher) {
  Unlist(watcher);
  delete &watcher;
}

void Subscription::Cancel(MuxWatcher& watcher, Revision compact_revision, std::string_view reason) {
  watcher.sink->OnCanceled(watcher, compact_revision, reason);
  Remove(watcher);
}

Revision Subscription::Complete(const MuxWatcher& watcher) const {
  const Revision revision = complete();
  const Revision since = watcher.next - (watcher.from_now ? 1 : 0);
  return watcher.state == State::kLive && since <= revision ? revision : 0;
}

void Subscription::NotifyPrepared() {
  for (MuxWatcher* watcher : prepared_) watcher->sink->OnReady(*watcher);
}

std::size_t Subscription::watchers() const {
  std::size_t count = behind_.size() + prepared_.size();
  for (const auto& list : live_) count += list.size();
  return count;
}

std::vector<MuxWatcher*>& Subscription::ListOf(const MuxWatcher& watcher) {
  switch (watcher.state) {
    case State::kPrepared:
      return prepared_;
    case State::kBehind:
      return behind_;
    case State::kLive:
      break;
  }
  return live_[Variant(watcher.filters)];
}

void Subscription::List(MuxWatcher& watcher, State state) {
  watcher.state = state;
  std::vector<MuxWatcher*>& list = ListOf(watcher);
  watcher.position = static_cast<std::uint32_t>(list.size());
  list.push_back(&watcher);
}

void Subscription::Unlist(MuxWatcher& watcher) {
  std::vector<MuxWatcher*>& list = ListOf(watcher);
  COPPICE_DCHECK(list[watcher.position] == &watcher);
  list[watcher.position] = list.back();
  list[watcher.position]->position = watcher.position;
  list.pop_back();
}

}  // namespace coppice::proxy
