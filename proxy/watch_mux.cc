#include "proxy/watch_mux.h"

#include <algorithm>
#include <memory>

#include "common/base/check.h"
#include "common/base/mutant.h"

namespace coppice::proxy {
namespace {

MuxWatcher& Of(mvcc::Watcher& watcher) {
  return static_cast<MuxWatcher&>(watcher);
}

}  // namespace

WatchMux::WatchMux(const WatchMuxOptions& options, WatchBackends& backends)
    : options_(options), backends_(backends), rings_{.each_max = options.ring_bytes} {}

WatchMux::~WatchMux() = default;

// --- WatchSource

mvcc::Watcher* WatchMux::Prepare(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink) {
  auto& subscription = subscriptions_[Key(spec.range, spec.prev_kv)];
  if (subscription == nullptr) {
    subscription = std::make_unique<Subscription>(spec.range, spec.prev_kv, rings_);
  }
  Subscription& s = *subscription;
  if (!std::exchange(s.listed_waiting, true)) waiting_.push_back(&s);
  Touch(s);
  return s.Add(spec, sink);
}

bool WatchMux::TryOpen(mvcc::Watcher& watcher) {
  Subscription& s = *Of(watcher).subscription;
  if (!s.TryOpen(Of(watcher), compact_)) return false;
  Touch(s);
  return true;
}

void WatchMux::Close(mvcc::Watcher& watcher) {
  Subscription& s = *Of(watcher).subscription;
  s.Remove(Of(watcher));
  Touch(s);
}

// A sink does not know its subscriptions: Poll looks once for all that drained in a turn.
void WatchMux::Drained(mvcc::WatchSink& /*sink*/) {
  drained_ = true;
}

Revision WatchMux::Complete(const mvcc::Watcher& watcher) const {
  const auto& w = static_cast<const MuxWatcher&>(watcher);
  return w.subscription->Complete(w);
}

// --- Frames.

Upstream* WatchMux::Find(ConnectionId connection, io::StreamId stream) {
  const auto it = upstreams_.find(stream.slot);
  if (it == upstreams_.end()) return nullptr;
  Subscription& s = *it->second.subscription;
  Upstream& u = it->second.catch_up ? *s.catch_up : s.main;
  return u.stream == stream && u.connection == connection ? &u : nullptr;
}

bool WatchMux::OnFrame(Time now, ConnectionId connection, const io::Frame& frame) {
  now_ = now;
  if (frame.type == io::FrameType::kWatermark) return OnWatermark(connection, frame.payload);
  Upstream* const u = Find(connection, frame.stream);
  if (u == nullptr) return true;
  Subscription& s = *upstreams_.at(frame.stream.slot).subscription;
  Touch(s);
  switch (frame.type) {
    case io::FrameType::kWatchCreated:
      return OnCreated(s, *u, frame.payload);
    case io::FrameType::kWatchEvents:
      return OnEvents(s, *u, frame);
    case io::FrameType::kWatchCanceled:
      return OnCanceled(s, *u, frame.payload);
    default:
      return false;
  }
}

bool WatchMux::OnCreated(Subscription& s, Upstream& u, std::string_view payload) {
  replica::WatchCreatedFrame created;
  if (!replica::DecodeWatchCreated(payload, created)) return false;
  if (u.state != Upstream::State::kOpening) return false;
  Learn(created.at, created.compact_revision);
  u.state = Upstream::State::kOpen;
  Connection& connection = connections_[u.connection];
  const bool first = IsMain(s, u) && !s.created();
  if (IsMain(s, u)) s.OnCreated(created.at);
  if (first) {
    u.failures = 0;
    s.Follow(&connection.complete);
  } else {
    // It starts in the past: the watermarks so far do not speak for it.
    u.lagging = true;
    connection.lagging.push_back(u.stream.slot);
  }
  return true;
}

bool WatchMux::OnEvents(Subscription& s, Upstream& u, const io::Frame& frame) {
  if (u.state != Upstream::State::kOpen) return false;
  if (u.partial == nullptr) u.partial = std::make_shared<mvcc::EncodedEvents>();
  if (!replica::DecodeWatchEvents(frame.payload, *u.partial)) return false;
  GrantCredit(u, frame.payload.size());
  if ((frame.flags & io::kFlagMore) != 0) return true;
  const mvcc::EncodedEventsPtr events = std::exchange(u.partial, nullptr);
  revision_ = std::max(revision_, events->revision);
  if (IsMain(s, u)) {
    s.OnEvents(events);
    if (rings_.used > options_.rings_bytes) TrimRings();
  } else {
    s.OnCatchUpEvents(events);
  }
  return true;
}

// The largest rings become as large as each other, and an eighth stays free, so that this is done
// once in many events. Whoever falls off its ring is caught up.
void WatchMux::TrimRings() {
  std::vector<Subscription*> smallest_first;
  for (const auto& [key, s] : subscriptions_) {
    if (s->ring_bytes() != 0) smallest_first.push_back(s.get());
  }
  // Stable: a run does not depend on addresses.
  std::stable_sort(smallest_first.begin(), smallest_first.end(),
                   [](const Subscription* a, const Subscription* b) {
                     return a->ring_bytes() < b->ring_bytes();
                   });
  std::size_t left = options_.rings_bytes - options_.rings_bytes / 8;
  std::size_t rings = smallest_first.size();
  for (Subscription* s : smallest_first) {
    s->TrimRing(left / rings--);
    left -= s->ring_bytes();
    if (s->behind() != 0) Touch(*s);
  }
}

void WatchMux::GrantCredit(Upstream& u, std::size_t bytes) {
  u.consumed += bytes;
  if (u.consumed < options_.credit / 2) return;
  const std::string payload = replica::EncodeCredit(static_cast<std::uint32_t>(u.consumed));
  backends_.Send(u.connection,
                 {.type = io::FrameType::kCredit, .stream = u.stream, .payload = payload});
  u.consumed = 0;
}

bool WatchMux::OnCanceled(Subscription& s, Upstream& u, std::string_view payload) {
  replica::WatchCanceledFrame canceled;
  if (!replica::DecodeWatchCanceled(payload, canceled)) return false;
  Learn(0, canceled.compact_revision);
  const bool compacted = canceled.compact_revision != 0;
  const ConnectionId from = u.connection;
  Drop(s, u, /*tell=*/false);
  if (!compacted && IsMain(s, u)) {
    Fail(u, from);
  } else if (!compacted) {
    s.EndCatchUp();
    DelayCatchUp(s);
  } else if (IsMain(s, u)) {
    if (s.catch_up != nullptr) {
      Drop(s, *s.catch_up, /*tell=*/true);
      s.EndCatchUp();
    }
    s.Reset(compact_);
  } else {
    s.CatchUpCompacted(compact_);
    s.EndCatchUp();
  }
  return true;
}

bool WatchMux::OnWatermark(ConnectionId id, std::string_view payload) {
  replica::WatermarkFrame mark;
  if (!replica::DecodeWatermark(payload, mark)) return false;
  Learn(mark.complete, mark.compact_revision);
  auth_ = std::max(auth_, mark.auth_revision);
  Connection& connection = connections_[id];
  std::vector<std::uint32_t> slots;
  for (const io::StreamId& stream : mark.lagging) {
    Upstream* const u = Find(id, stream);
    if (u == nullptr || u->state != Upstream::State::kOpen) continue;
    slots.push_back(stream.slot);
    Subscription& s = *upstreams_.at(stream.slot).subscription;
    // What the earlier watermark said of it still holds; this one says nothing.
    if (IsMain(s, *u)) s.Follow(nullptr);
    u->lagging = true;
  }
  connection.complete = std::max(connection.complete, mark.complete);
  SetLagging(connection, std::move(slots));
  for (auto& [slot, entry] : upstreams_) {
    if (!entry.catch_up) continue;
    Upstream& u = *entry.subscription->catch_up;
    if (u.connection != id || u.lagging || u.state != Upstream::State::kOpen) continue;
    entry.subscription->OnCatchUpComplete(connection.complete);
    Touch(*entry.subscription);
  }
  NotifyWaiting();
  return true;
}

// Those that lagged and are not in `slots` have caught up.
void WatchMux::SetLagging(Connection& connection, std::vector<std::uint32_t> slots) {
  for (const std::uint32_t slot : std::exchange(connection.lagging, std::move(slots))) {
    const auto& now = connection.lagging;
    if (std::find(now.begin(), now.end(), slot) != now.end()) continue;
    const auto it = upstreams_.find(slot);
    if (it == upstreams_.end()) continue;
    Subscription& s = *it->second.subscription;
    Upstream& u = it->second.catch_up ? *s.catch_up : s.main;
    u.lagging = false;
    u.failures = 0;
    if (IsMain(s, u)) s.Follow(&connection.complete);
    Touch(s);
  }
}

void WatchMux::Learn(Revision revision, Revision compact_revision) {
  revision_ = std::max(revision_, revision);
  compact_ = std::max(compact_, compact_revision);
}

// --- Upstreams.

bool WatchMux::Open(Subscription& s, Upstream& u, Revision start) {
  const ConnectionId connection = backends_.Choose(u.avoid);
  u.avoid = kNoConnection;
  if (connection == kNoConnection) {
    Fail(u, kNoConnection);
    return false;
  }
  OpenAt(connection, s, u, start);
  return true;
}

void WatchMux::OpenAt(ConnectionId connection, Subscription& s, Upstream& u, Revision start) {
  do {
    last_slot_ = (last_slot_ + 1) & ~kSlotBit;
  } while (upstreams_.contains(last_slot_ | kSlotBit));
  u.state = Upstream::State::kOpening;
  u.stream = {.slot = last_slot_ | kSlotBit, .generation = ++generation_};
  u.connection = connection;
  u.consumed = 0;
  u.lagging = false;
  upstreams_[u.stream.slot] = {&s, !IsMain(s, u)};
  ++connections_[connection].upstreams;
  const std::string payload = replica::EncodeWatchCreate(
      {.range = s.range(), .prev_kv = s.prev_kv(), .start = start, .credit = options_.credit});
  backends_.Send(connection,
                 {.type = io::FrameType::kWatchCreate, .stream = u.stream, .payload = payload});
}

// The main upstream of one that has none.
Revision WatchMux::ResumesAt(const Subscription& s) {
  if (!s.created()) return 0;
  const Revision next = s.complete() + 1;
  if (COPPICE_MUTANT(kResumeWatchLate)) return next + 1;
  return COPPICE_MUTANT(kResumeWatchEarly) ? next - 1 : next;
}

void WatchMux::Drop(Subscription& s, Upstream& u, bool tell) {
  if (u.state == Upstream::State::kIdle) return;
  if (tell) {
    backends_.Send(u.connection,
                   {.type = io::FrameType::kWatchCancel, .stream = u.stream, .payload = {}});
  }
  if (IsMain(s, u)) s.Follow(nullptr);
  Connection& connection = connections_.at(u.connection);
  std::erase(connection.lagging, u.stream.slot);
  --connection.upstreams;
  upstreams_.erase(u.stream.slot);
  u.state = Upstream::State::kIdle;
  u.connection = kNoConnection;
  u.partial = nullptr;
  u.lagging = false;
}

void WatchMux::Fail(Upstream& u, ConnectionId avoid) {
  u.avoid = avoid;
  const Micros delay = std::min(options_.retry_max, options_.retry_min << std::min(u.failures, 10));
  ++u.failures;
  u.retry_at = now_ + delay;
  retry_at_ = std::min(retry_at_, u.retry_at);
}

void WatchMux::OnLost(Time now, ConnectionId connection) {
  now_ = now;
  for (const auto& [key, s] : subscriptions_) {
    if (s->main.connection == connection) {
      Drop(*s, s->main, /*tell=*/false);
      Touch(*s);
    }
    if (s->catch_up != nullptr && s->catch_up->connection == connection) {
      Drop(*s, *s->catch_up, /*tell=*/false);
      s->EndCatchUp();
      Touch(*s);
    }
  }
  connections_.erase(connection);
}

void WatchMux::OnStale(Time now, ConnectionId connection) {
  now_ = now;
  const auto it = connections_.find(connection);
  if (it == connections_.end() || it->second.upstreams == 0) return;
  if (backends_.ChooseFresher(connection) == kNoConnection) return;
  // Chosen anew for each, so that they spread.
  for (const auto& [key, s] : subscriptions_) {
    if (s->main.connection == connection) {
      Drop(*s, s->main, /*tell=*/true);
      OpenAt(backends_.ChooseFresher(connection), *s, s->main, ResumesAt(*s));
    }
    if (s->catch_up != nullptr && s->catch_up->connection == connection) {
      Drop(*s, *s->catch_up, /*tell=*/true);
      OpenAt(backends_.ChooseFresher(connection), *s, *s->catch_up, s->catch_up_next());
    }
  }
}

void WatchMux::OnBackendUp(Time now) {
  now_ = now;
  for (const auto& [key, s] : subscriptions_) {
    s->main.retry_at = now;
    Touch(*s);
  }
}

// --- Turns.

void WatchMux::Poll(Time now) {
  now_ = now;
  if (now_ >= retry_at_) {
    retry_at_ = kNever;
    TouchAll();
  }
  if (now_ >= stalls_at_) {
    stalls_at_ = now_ + kSecond;
    for (const auto& [key, s] : subscriptions_) {
      if (s->behind() == 0) continue;
      s->CancelStalled(now_, options_.stall_max, compact_);
      Touch(*s);
    }
  }
  if (std::exchange(drained_, false)) {
    for (const auto& [key, s] : subscriptions_) {
      if (s->behind() != 0) Touch(*s);
    }
  }
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    touched_[i]->touched = false;
    Maintain(*touched_[i]);
  }
  touched_.clear();
  NotifyWaiting();
}

Time WatchMux::NextDeadline() const {
  return std::min(retry_at_, subscriptions_.empty() ? kNever : stalls_at_);
}

void WatchMux::Maintain(Subscription& s) {
  if (s.watchers() == 0) {
    if (s.catch_up != nullptr) Drop(s, *s.catch_up, /*tell=*/true);
    Drop(s, s.main, /*tell=*/true);
    std::erase(waiting_, &s);
    subscriptions_.erase(Key(s.range(), s.prev_kv()));
    return;
  }
  if (s.main.state == Upstream::State::kIdle) {
    if (now_ >= s.main.retry_at) {
      Open(s, s.main, ResumesAt(s));
    } else {
      retry_at_ = std::min(retry_at_, s.main.retry_at);
    }
  }
  if (s.behind() == 0 && s.catch_up == nullptr) return;
  MaintainCatchUp(s);
  s.Pump();
}

void WatchMux::MaintainCatchUp(Subscription& s) {
  if (s.catch_up != nullptr && s.CatchUpDone()) {
    Drop(s, *s.catch_up, /*tell=*/true);
    s.EndCatchUp();
  }
  if (s.catch_up == nullptr && now_ < s.catch_up_retry_at) {
    retry_at_ = std::min(retry_at_, s.catch_up_retry_at);
    return;
  }
  const std::optional<Revision> from = s.BeginCatchUp(options_.cohort_revisions);
  if (!from.has_value()) return;
  s.catch_up = std::make_unique<Upstream>();
  if (Open(s, *s.catch_up, *from)) return;
  s.EndCatchUp();
  DelayCatchUp(s);
}

void WatchMux::DelayCatchUp(Subscription& s) {
  s.catch_up_retry_at = now_ + options_.retry_min;
  retry_at_ = std::min(retry_at_, s.catch_up_retry_at);
}

void WatchMux::Touch(Subscription& s) {
  if (!std::exchange(s.touched, true)) touched_.push_back(&s);
}

void WatchMux::TouchAll() {
  for (const auto& [key, s] : subscriptions_) Touch(*s);
}

void WatchMux::NotifyWaiting() {
  std::erase_if(waiting_, [](Subscription* s) {
    if (!s->waiting()) {
      s->listed_waiting = false;
      return true;
    }
    s->NotifyPrepared();
    return false;
  });
}

}  // namespace coppice::proxy
