#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/mvcc/key_range.h"

// What stands between a client's watch stream and the place its events come from: the hub of a
// voter or learner (common/replica/watch_hub.h), or a proxy's mux (proxy/watch_mux.h). Both sides
// are pure. It lives in mvcc because replica, api and proxy may all include that.
namespace coppice::mvcc {

// All that one revision changed within one group of watchers, encoded once and shared by them:
// WatchResponse.events fields (tag 11), one behind another. Immutable.
// Invariant: never empty; ends are ascending, and the last one is bytes.size().
struct EncodedEvents {
  Revision revision = 0;
  std::string bytes;
  std::vector<std::uint32_t> ends;  // where each event ends; kDeleteMark is set for a delete

  static constexpr std::uint32_t kDeleteMark = 1U << 31;
  std::size_t size() const { return ends.size(); }
  std::uint32_t end(std::size_t i) const { return ends[i] & ~kDeleteMark; }
  std::uint32_t begin(std::size_t i) const { return i == 0 ? 0 : end(i - 1); }
  bool is_delete(std::size_t i) const { return (ends[i] & kDeleteMark) != 0; }
};
using EncodedEventsPtr = std::shared_ptr<const EncodedEvents>;

// Which events of a range a watcher wants. Watchers with the same filters, prev_kv and range share
// their encodings.
struct WatchFilters {
  bool no_put = false;
  bool no_delete = false;
  auto operator<=>(const WatchFilters&) const = default;
};

struct WatchSpec {
  KeyRange range{};  // not empty
  WatchFilters filters{};
  bool prev_kv = false;
  Revision start = 0;         // 0 = the next revision when it opens
  Revision min_revision = 0;  // it opens at this or later (a session's, or a read round's)
};

class Watcher;

// The receiving end: one per client stream (or per internal subscription). The source calls it, and
// it never calls the source from within. The public fields are what a source looks at for each
// delivery; they stand here so that this costs no virtual call.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // TryOpen of this watcher might succeed now; may be spurious.
  virtual void OnReady(Watcher& watcher) = 0;
  // Its events no longer come as they happen: it is brought up from history.
  virtual void OnBehind(Watcher& /*watcher*/) {}
  // The watcher is open as of `at`: it gets the events from start (at + 1 if that was 0) on.
  virtual void OnOpened(Watcher& watcher, Revision at) = 0;
  // All that the watcher wants of one revision. Revisions only ascend. Only while `writable` and
  // after OnOpened.
  virtual void OnEvents(Watcher& watcher, const EncodedEventsPtr& events) = 0;
  // The watcher cannot go on, and is gone when this returns. `compact_revision` is 0 if compaction
  // was not the reason.
  virtual void OnCanceled(Watcher& watcher, Revision compact_revision, std::string_view reason) = 0;

  // The sink takes events. The sink clears it when it holds too much unsent, and once it set it
  // again tells the source by Drained.
  bool writable = true;
  // The highest revision of a header sent: a watcher with start 0 opens no lower.
  Revision floor = 0;
  // When it stopped being writable; meaningless while it is.
  Time blocked_since = 0;
};

// One watch. The base of what the source keeps of it, freed by the source after Close or
// OnCanceled. A source with many of them idle pays for sizeof of its own subclass each.
class Watcher {
 public:
  explicit Watcher(WatchSink& the_sink) : sink(&the_sink) {}
  WatchSink* const sink;
  std::int64_t id = 0;     // the sink's own
  std::uint8_t flags = 0;  // the sink's own
};

// Where events come from. All calls on one loop.
//
// What it gives each watcher (docs/consistency.md, Watches): every event with revision >= start in
// its range that its filters let pass, once, in revision order, a revision whole, whatever happens
// to sinks and upstreams; or OnCanceled.
class WatchSource {
 public:
  virtual ~WatchSource() = default;
  // Begins a watcher; it says nothing before TryOpen. Never null.
  virtual Watcher* Prepare(const WatchSpec& spec, WatchSink& sink) = 0;
  // Opens it now, if that is possible: OnOpened comes from within, and OnCanceled may follow.
  // False: not yet, OnReady will tell when to try again. A session opens its watchers in the order
  // of their requests, which is why this is a step of its own.
  virtual bool TryOpen(Watcher& watcher) = 0;
  // Ends it; no call follows. The sink must outlive its watchers.
  virtual void Close(Watcher& watcher) = 0;
  // `sink` is writable again: its watchers that fell behind go on.
  virtual void Drained(WatchSink& sink) = 0;
  // Every event of this watcher up to this revision was given to its sink; 0: it is behind, not
  // open, or starts (start 0: was opened) later.
  virtual Revision Complete(const Watcher& watcher) const = 0;
  // The newest revision known here, for headers that promise nothing.
  virtual Revision revision() const = 0;
};

}  // namespace coppice::mvcc
