#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "common/mvcc/btree.h"
#include "common/mvcc/store.h"

namespace coppice::mvcc {

// A ReadView as it is published, with what its successor took away.
struct PublishedView : ReadView {
  const Inner& tree() const { return *static_cast<const Inner*>(root); }

  std::uint64_t sequence = 0;
  mutable std::atomic<int> pins{0};  // see ViewTable::Pin
  Garbage garbage;                   // reachable from this view and older ones only
};

// The newest view, and the reclamation of what older ones reach, by quiescent states: a loop
// announces the newest sequence when it holds no view, or that it is offline;
// the writer frees what only views before the lowest announced sequence can reach. Threads that are
// no loop take one of the guest places for the time of a call.
// Both sides use sequentially consistent operations: a reader announces, then loads the view; the
// writer publishes, then reads the announcements. So the writer sees the announcement, or the
// reader sees the newer view.
// Thread: Publish, Reclaim and oldest() by the writer; the rest by any.
class ViewTable {
 public:
  // `tree` gets what is free.
  ViewTable(Tree& tree, int loops);
  ~ViewTable();

  const PublishedView& Acquire(int loop);
  void Quiesce(int loop, bool blocking);

  // Keeps a view beyond the turn in which Acquire gave it; Unpin by any thread.
  static void Pin(const PublishedView& view) { view.pins.fetch_add(1); }
  static void Unpin(const PublishedView& view) { view.pins.fetch_sub(1); }

  // `garbage`: what the view before `view` reaches and `view` does not.
  void Publish(std::unique_ptr<PublishedView> view, Garbage garbage);
  void Reclaim();
  const PublishedView& newest() const { return *views_.back(); }
  // The oldest view that a reader may still hold.
  const PublishedView& oldest() const { return *views_.front(); }

  // A short visit of a thread that is no loop.
  class Guest {
   public:
    explicit Guest(ViewTable& table);
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    const PublishedView& view() const { return *view_; }

   private:
    std::atomic<std::uint64_t>* place_;
    const PublishedView* view_;
  };

 private:
  struct alignas(64) Place {
    std::atomic<std::uint64_t> announced;
  };
  std::uint64_t LowestAnnounced() const;

  Tree& tree_;
  // Written by the writer only.
  std::deque<std::unique_ptr<PublishedView>> views_;  // oldest first; the last is the newest

  std::atomic<const PublishedView*> current_{nullptr};
  std::atomic<std::uint64_t> sequence_{0};  // of current_, stored after it
  const std::size_t loops_;
  std::vector<Place> places_;  // of the loops, then of the guests
};

}  // namespace coppice::mvcc
