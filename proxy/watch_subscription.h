#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/io/frame.h"
#include "common/mvcc/key_range.h"
#include "common/mvcc/watch_source.h"

namespace coppice::proxy {

class Subscription;

// Names a connection to a backend: never reused, so that what comes late from a lost one is known.
using ConnectionId = std::uint64_t;
constexpr ConnectionId kNoConnection = 0;

// One watcher of a proxy: 64 bytes, and 8 in its subscription's list.
class MuxWatcher final : public mvcc::Watcher {
 public:
  enum class State : std::uint8_t { kPrepared, kLive, kBehind };
  MuxWatcher(mvcc::WatchSink& the_sink, Subscription& the_subscription)
      : Watcher(the_sink), subscription(&the_subscription) {}

  State state = State::kPrepared;
  mvcc::WatchFilters filters;
  bool catching_up = false;  // gets the events of the catch-up that is open
  bool from_now = false;     // its start was 0: what is complete up to next - 1 is so for it
  std::uint32_t position = 0;
  Subscription* const subscription;
  Revision next = 0;  // as in HubWatcher
  Revision min_revision = 0;
};

// A stream of events from a backend.
struct Upstream {
  enum class State : std::uint8_t { kIdle, kOpening, kOpen };
  State state = State::kIdle;
  bool lagging = false;  // the connection's watermark does not speak for it yet
  io::StreamId stream;
  ConnectionId connection = kNoConnection;
  ConnectionId avoid = kNoConnection;            // it just refused
  std::shared_ptr<mvcc::EncodedEvents> partial;  // a revision of which parts are missing
  std::size_t consumed = 0;                      // bytes since credit was last granted
  int failures = 0;
  Time retry_at = 0;
};

// The memory of all rings of a mux, and of each.
struct RingBytes {
  const std::size_t each_max;
  std::size_t used = 0;  // by all together
};

// Everything that a proxy's watchers of one range (with or without prev_kv) share: the events of
// one upstream, the recent ones of them in a ring, and a catch-up for those that need older ones.
// What it gives each watcher: (its start, join] from ring or catch-up, then join + 1 on.
//
// Pure; talks to no backend itself (watch_mux.h does). Thread: its loop.
//
// Invariants: the ring holds every event of [ring_first, complete()]; a live watcher has been given
// all of [its start, complete()], one behind all of [its start, next); next <= complete() + 1.
class Subscription {
 public:
  // `rings` outlives it.
  Subscription(mvcc::KeyRange range, bool prev_kv, RingBytes& rings);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  const mvcc::KeyRange& range() const { return range_; }
  bool prev_kv() const { return prev_kv_; }

  // --- The main upstream.
  Upstream main;
  bool created() const { return complete_ != 0; }
  // It is open for the first time (or after Reset) and gives what follows `at`.
  void OnCreated(Revision at);
  void OnEvents(const mvcc::EncodedEventsPtr& events);
  // From now on complete() follows `mark`, its connection's watermark; null: it stands still.
  void Follow(const Revision* mark);
  Revision complete() const { return mark_ == nullptr ? complete_ : std::max(complete_, *mark_); }
  // History between complete() and what backends have is gone: cancels all that are open, but for
  // those that need nothing of it because they start in the future.
  void Reset(Revision compact_revision);

  // --- The catch-up upstream, at most one.
  std::unique_ptr<Upstream> catch_up;
  Time catch_up_retry_at = 0;
  // The revision from which one is needed, if so; marks the watchers that will share it.
  std::optional<Revision> BeginCatchUp(Revision cohort);
  void OnCatchUpEvents(const mvcc::EncodedEventsPtr& events);
  void OnCatchUpComplete(Revision revision);
  Revision catch_up_next() const { return catch_up_next_; }
  // It has reached the ring, or nobody takes its events any more.
  bool CatchUpDone() const;
  void EndCatchUp();
  // It was canceled: its watchers below this are.
  void CatchUpCompacted(Revision compact_revision);

  // --- Watchers.
  MuxWatcher* Add(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink);
  // False only before the main upstream is created: that one may be far behind what the watcher's
  // stream has seen, but it brings all that follows.
  bool TryOpen(MuxWatcher& watcher, Revision compact_revision);
  void Remove(MuxWatcher& watcher);
  Revision Complete(const MuxWatcher& watcher) const;
  // Gives those behind what the ring has.
  void Pump();
  void CancelStalled(Time now, Micros stall_max, Revision compact_revision);
  void NotifyPrepared();
  bool waiting() const { return !prepared_.empty(); }
  std::size_t watchers() const;
  std::size_t behind() const { return behind_.size(); }
  std::size_t ring_bytes() const { return ring_bytes_; }
  // Forgets the oldest of its ring: who needs that is caught up.
  void TrimRing(std::size_t bytes_max);

  // The mux's lists that it is in.
  bool touched = false;
  bool listed_waiting = false;

 private:
  static constexpr std::size_t kVariants = 4;
  static std::size_t Variant(mvcc::WatchFilters filters) {
    return (filters.no_put ? 1U : 0U) | (filters.no_delete ? 2U : 0U);
  }
  std::vector<MuxWatcher*>& ListOf(const MuxWatcher& watcher);
  void List(MuxWatcher& watcher, MuxWatcher::State state);
  void Unlist(MuxWatcher& watcher);
  void Cancel(MuxWatcher& watcher, Revision compact_revision, std::string_view reason);
  void CancelBelow(Revision next, std::vector<MuxWatcher*>& list, Revision compact_revision);
  void DeliverLive(std::vector<MuxWatcher*>& list, const mvcc::EncodedEventsPtr& events);
  bool PumpOne(MuxWatcher& watcher);
  bool Takes(const MuxWatcher& watcher) const;

  const mvcc::KeyRange range_;
  const bool prev_kv_;
  RingBytes& rings_;
  Revision complete_ = 0;           // 0: not created
  const Revision* mark_ = nullptr;  // of the main upstream's connection
  Revision ring_first_ = 0;
  std::size_t ring_bytes_ = 0;
  std::deque<mvcc::EncodedEventsPtr> ring_;
  Revision catch_up_next_ = 0;    // its watchers have been given everything below
  bool catch_up_joined_ = false;  // which was where the ring began when it got there
  std::array<std::vector<MuxWatcher*>, kVariants> live_;
  std::vector<MuxWatcher*> behind_;
  std::vector<MuxWatcher*> prepared_;
};

}  // namespace coppice::proxy
