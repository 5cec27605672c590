#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/io/frame.h"
#include "common/mvcc/watch_source.h"
#include "common/replica/watch_wire.h"
#include "proxy/watch_subscription.h"

namespace coppice::proxy {

// The mux's way to the backends: the router chooses, the transport sends.
class WatchBackends {
 public:
  virtual ~WatchBackends() = default;
  // The connection on which to open a subscription: to a learner that is fresh, or a voter if there
  // is none; kNoConnection if nobody serves. Another one than `except`, unless that is the only
  // one.
  virtual ConnectionId Choose(ConnectionId except) = 0;
  // For a subscription whose connection's backend is not fresh any more: one to a backend that is
  // fresher, kNoConnection if there is none.
  virtual ConnectionId ChooseFresher(ConnectionId than) = 0;
  // Queues one frame; `frame.payload` is copied.
  virtual void Send(ConnectionId connection, const io::Frame& frame) = 0;
};

struct WatchMuxOptions {
  std::size_t ring_bytes = 16U << 20;    // of recent events, per subscription
  std::size_t rings_bytes = 256U << 20;  // of all subscriptions together
  std::uint32_t credit = 256U << 10;     // per upstream
  Revision cohort_revisions = 10'000;    // watchers this close together share a catch-up
  Micros stall_max = 60 * kSecond;       // blocked for so long and off the ring: canceled
  Micros retry_min = 10 * kMillisecond;
  Micros retry_max = kSecond;
};

// A proxy loop's watches: many watchers, one upstream per canonical range (two with prev_kv), whose
// events it encodes no second time. Upstreams come and go beneath without a watcher noticing: a
// lost one resumes elsewhere at its complete() + 1.
//
// Pure: frames of backends, lost connections and `now` in; frames out by WatchBackends, events out
// by sinks. Thread: its loop.
//
// Streams that it opens have bit 31 of the slot set, which requests on the same connection leave
// clear.
class WatchMux final : public mvcc::WatchSource {
 public:
  static constexpr std::uint32_t kSlotBit = 1U << 31;

  WatchMux(const WatchMuxOptions& options, WatchBackends& backends);
  ~WatchMux() override;

  // --- Inputs.
  // A kWatch... or kWatermark frame. False: malformed, close the connection (and tell OnLost).
  // Frames of streams that are over are ignored.
  bool OnFrame(Time now, ConnectionId connection, const io::Frame& frame);
  // The connection is gone; its subscriptions resume elsewhere.
  void OnLost(Time now, ConnectionId connection);
  // Its backend is no longer fresh, or is draining: subscriptions move to a fresher one, or stay if
  // there is none. Said again now and then while it is so.
  void OnStale(Time now, ConnectionId connection);
  // A backend became eligible.
  void OnBackendUp(Time now);
  // A backend told of it besides by its frames: it is known to every watcher opened from now on.
  void LearnCompaction(Revision compact_revision) { Learn(0, compact_revision); }
  // At the end of each turn with any input, sessions' calls included, and at NextDeadline.
  void Poll(Time now);
  Time NextDeadline() const;

  // --- WatchSource
  mvcc::Watcher* Prepare(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink) override;
  bool TryOpen(mvcc::Watcher& watcher) override;
  void Close(mvcc::Watcher& watcher) override;
  void Drained(mvcc::WatchSink& sink) override;
  Revision Complete(const mvcc::Watcher& watcher) const override;
  Revision revision() const override { return revision_; }

  Revision compact_revision() const { return compact_; }
  // Of the auth store, as the backends last said: when it grows, permissions are asked again.
  std::uint64_t auth_revision() const { return auth_; }
  std::size_t subscriptions() const { return subscriptions_.size(); }
  std::size_t upstreams() const { return upstreams_.size(); }
  std::size_t ring_bytes() const { return rings_.used; }

 private:
  using Key = std::pair<mvcc::KeyRange, bool>;
  struct Connection {
    Revision complete = 0;
    std::vector<std::uint32_t> lagging;  // slots
    std::size_t upstreams = 0;
  };
  struct Slot {
    Subscription* subscription = nullptr;
    bool catch_up = false;
  };

  Upstream* Find(ConnectionId connection, io::StreamId stream);
  static bool IsMain(const Subscription& s, const Upstream& u) { return &u == &s.main; }
  bool OnCreated(Subscription& s, Upstream& u, std::string_view payload);
  bool OnEvents(Subscription& s, Upstream& u, const io::Frame& frame);
  bool OnCanceled(Subscription& s, Upstream& u, std::string_view payload);
  bool OnWatermark(ConnectionId connection, std::string_view payload);
  void SetLagging(Connection& connection, std::vector<std::uint32_t> slots);
  void Learn(Revision revision, Revision compact_revision);
  void GrantCredit(Upstream& u, std::size_t bytes);
  void TrimRings();

  bool Open(Subscription& s, Upstream& u, Revision start);
  void OpenAt(ConnectionId connection, Subscription& s, Upstream& u, Revision start);
  static Revision ResumesAt(const Subscription& s);
  void Drop(Subscription& s, Upstream& u, bool tell);
  void Fail(Upstream& u, ConnectionId avoid);
  void Maintain(Subscription& s);
  void MaintainCatchUp(Subscription& s);
  void DelayCatchUp(Subscription& s);
  void Touch(Subscription& s);
  void TouchAll();
  void NotifyWaiting();

  const WatchMuxOptions options_;
  WatchBackends& backends_;
  Time now_ = 0;
  Revision revision_ = 0;
  Revision compact_ = 0;
  std::uint64_t auth_ = 0;
  RingBytes rings_;
  std::map<Key, std::unique_ptr<Subscription>> subscriptions_;
  std::map<std::uint32_t, Slot> upstreams_;  // by slot; those with a connection
  std::map<ConnectionId, Connection> connections_;
  std::vector<Subscription*> touched_;
  std::vector<Subscription*> waiting_;  // with watchers that are not open
  std::uint32_t last_slot_ = 0;
  std::uint32_t generation_ = 0;
  bool drained_ = false;  // some sink, since Poll
  Time retry_at_ = kNever;
  Time stalls_at_ = 0;
};

}  // namespace coppice::proxy
