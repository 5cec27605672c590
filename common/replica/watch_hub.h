#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/mvcc/store.h"
#include "common/mvcc/watch_source.h"
#include "common/replica/watch_index.h"

namespace coppice::replica {

struct WatchHubOptions {
  std::size_t rows_max = 1000;         // of history in one step
  Revision cohort_revisions = 10'000;  // watchers this close together share a scan
  Micros stall_max = 60 * kSecond;     // blocked for so long and off the ring: canceled
};

// An effect: the driver reads history and gives it to OnHistory, now or later. At most one is out.
struct NeedHistory {
  Revision from = 0;
  Revision to = 0;
  std::size_t rows_max = 0;
  bool with_prev = false;
};

// Its answer: every revision of [from, next) that changed anything, whole.
struct History {
  mvcc::Error error = mvcc::Error::kNone;  // kCompacted, or one to try again after
  Revision next = 0;
  std::vector<mvcc::EventBatchPtr> batches{};
};

// One watcher of a hub: 56 bytes, and 8 in its group's list.
class HubWatcher final : public mvcc::Watcher {
 public:
  enum class State : std::uint8_t { kPrepared, kLive, kBehind };
  HubWatcher(WatchGroup* the_group, mvcc::WatchSink& the_sink)
      : Watcher(the_sink), group(the_group) {}

  State state = State::kPrepared;
  bool scanning = false;           // takes part in the read that is out
  std::uint32_t position = 0;      // in its group's list
  std::uint32_t all_position = 0;  // in the hub's list of those prepared or behind
  WatchGroup* const group;
  // kPrepared: the start asked for. kBehind: what it needs next. kLive: it gets nothing below this;
  // no longer touched once it has started, so that delivery writes nothing here.
  Revision next = 0;
  Revision min_revision = 0;
};

// The watch hub of one loop of a voter or learner: gives the applied revisions to the watchers
// whose range they touch, and brings those that are behind up from history.
//
// Pure: batches, read history and `now` in; calls to sinks and NeedHistory out. Thread: its loop.
//
// A watcher is live (it has been given everything up to revision()), or behind: it needs history
// from `next` on, because it started in the past, its sink was full, or the hub skipped revisions.
// Slow watchers are cursors, not queues: nothing is kept for them. Each step of history is for a
// cohort of them, the oldest and the newest by turns.
//
// Invariant: between calls, a live watcher has been given all events in [start, revision()]; one
// that is behind, all in [start, next), and next <= revision().
class WatchHub final : public mvcc::WatchSource {
 public:
  WatchHub(const WatchHubOptions& options, Revision revision, Revision compact_revision);
  ~WatchHub() override;

  // --- Inputs.
  // A revision was applied. One that is known is ignored; a skipped one puts the watchers behind.
  void OnBatch(const mvcc::EventBatchPtr& batch);
  // What the loop's view says. Every turn, after its batches: tells of compactions, and of
  // revisions that came without a batch (there were no watchers, a snapshot was installed).
  void OnView(Revision revision, Revision compact_revision);
  void OnHistory(const History& history);
  // About once a second: cancels who has been blocked for too long. `ring_first` is the oldest
  // revision of the ring.
  void Tick(Time now, Revision ring_first);

  // --- Effects. Ask after inputs, until it gives nothing.
  std::optional<NeedHistory> PollHistory();

  // --- WatchSource
  mvcc::Watcher* Prepare(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink) override;
  bool TryOpen(mvcc::Watcher& watcher) override;
  void Close(mvcc::Watcher& watcher) override;
  void Drained(mvcc::WatchSink& sink) override;
  Revision Complete(const mvcc::Watcher& watcher) const override;
  Revision revision() const override { return revision_; }

  Revision compact_revision() const { return compact_; }
  std::size_t watchers() const { return watchers_; }
  std::size_t behind() const { return behind_.size(); }
  std::size_t ranges() const { return index_.ranges(); }

 private:
  std::optional<Revision> NextScan();
  void Match(const mvcc::EventBatch& batch, bool history);
  void DeliverTouched(bool history);
  void AddToGroups(const mvcc::Event& event, Revision revision, bool history);
  void DeliverLive(WatchGroup& group, const mvcc::EncodedEventsPtr& events);
  void DeliverHistory(WatchGroup& group, const mvcc::EncodedEventsPtr& events);
  void FinishScan(Revision next);
  void PutBehind(Revision limit);
  void WakePrepared();
  void GoLive(HubWatcher& watcher, Revision next);
  void GoBehind(HubWatcher& watcher, Revision next);
  void Unlist(HubWatcher& watcher);
  void Cancel(HubWatcher& watcher, Revision compact, std::string_view reason);
  void Free(HubWatcher& watcher);

  const WatchHubOptions options_;
  Revision revision_;
  Revision compact_;
  WatchIndex index_;
  std::vector<HubWatcher*> behind_;
  std::vector<HubWatcher*> prepared_;
  std::vector<WatchGroup*> touched_;  // by the batch being matched
  std::size_t watchers_ = 0;
  bool scan_out_ = false;
  bool newest_next_ = false;  // which cohort the next scan is for
  bool may_scan_ = false;     // something changed since PollHistory found nothing to read
};

}  // namespace coppice::replica
