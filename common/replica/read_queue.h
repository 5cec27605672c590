#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice::replica {

// What admission needs of the view a read would be served from (mvcc::ReadView has all of it).
struct ViewFacts {
  Revision revision = 0;
  Time fresh_as_of = 0;  // 0 = no round has completed since the process started
};

enum class ReadVerdict : std::uint8_t {
  kServe,           // from the view that was passed in, in this turn
  kQueued,          // the queue holds the node until it hands it back
  kOtherCluster,    // FailedPrecondition: the session revision is another cluster's
  kFutureRevision,  // OutOfRange: min-revision is still ahead after a round begun after arrival
  kExpired,         // etcdserver: request timed out
};

// A waiting read. Owned by the caller, embedded in its request; must stay where it is while queued,
// and be removed (ReadQueue::Remove) before it dies. The first group is set by the caller.
struct ReadNode {
  Consistency consistency;
  Revision revision = 0;  // the request's explicit revision; 0 = latest
  Time deadline = kNever;

  bool queued() const { return next != nullptr; }
  ReadNode* next = nullptr;  // the queue's
  ReadNode* prev = nullptr;
};

// An io loop's reads that cannot be served at once (docs/architecture.md, "How a read
// travels"): `waiting` for a round, and asked[slot], one list per round out. Costs no allocation.
//
// Invariant: every read of asked[slot] was admitted before that slot was closed, and the gate sends
// the slot's round only after that: so a round never serves a read that came after it.
// Pure; thread: its io loop. The callbacks of Done, OnView and Expire get each node already removed
// and may admit others.
class ReadQueue {
 public:
  static constexpr int kSlots = 2;

  explicit ReadQueue(std::uint64_t cluster_id) : cluster_id_(cluster_id) {}

  // `now` was read after the request's bytes arrived.
  ReadVerdict Admit(Time now, const ViewFacts& view, ReadNode& node);
  void Remove(ReadNode& node);  // its client is gone; not queued is fine

  // End of turn: if reads wait and a slot is free, closes them into it and returns it, to be told
  // to the gate (LocalWaiting). Else -1.
  int Close();

  // The gate's ServeLoop: `view` is loaded after it and has the round's index applied.
  template <typename F>  // F(ReadNode&, ReadVerdict): kServe or kFutureRevision
  void Done(int slot, const ViewFacts& view, F&& answer) {
    Bucket& asked = asked_[static_cast<std::size_t>(slot)];
    in_use_[static_cast<std::size_t>(slot)] = false;
    Bucket done;
    done.Take(asked);
    for (List* list : {&done.strict, &done.early}) {
      while (ReadNode* node = Pop(*list)) {
        answer(*node, node->consistency.min_revision > view.revision ? ReadVerdict::kFutureRevision
                                                                     : ReadVerdict::kServe);
      }
    }
  }

  // The reads that Done(slot) is about to hand back.
  template <typename F>  // F(const ReadNode&)
  void ForEachAsked(int slot, F&& visit) const {
    const Bucket& asked = asked_[static_cast<std::size_t>(slot)];
    for (const List* list : {&asked.strict, &asked.early}) {
      for (const ReadNode* node = list->head.next; node != &list->head; node = node->next) {
        visit(*node);
      }
    }
  }

  // A new view is out: bounded and serializable reads that it satisfies need not wait for their
  // round. Cheap when there are none.
  template <typename F>
  void OnView(Time now, const ViewFacts& view, F&& answer) {
    for (Bucket* bucket : {&waiting_, &asked_[0], &asked_[1]}) {
      Sweep(bucket->early, [&](ReadNode& node) {
        if (!Meets(now, view, node)) return false;
        Unlink(node);
        answer(node, ReadVerdict::kServe);
        return true;
      });
    }
  }

  template <typename F>
  void Expire(Time now, F&& answer) {
    if (now < NextDeadline()) return;
    for (Bucket* bucket : {&waiting_, &asked_[0], &asked_[1]}) {
      bucket->first_deadline = kNever;
      for (List* list : {&bucket->strict, &bucket->early}) {
        Sweep(*list, [&](ReadNode& node) {
          if (node.deadline > now) {
            bucket->Note(node.deadline);
            return false;
          }
          Unlink(node);
          answer(node, ReadVerdict::kExpired);
          return true;
        });
      }
    }
  }
  // When Expire is due, rounded up to 10 ms so that a crowd of deadlines costs few sweeps.
  Time NextDeadline() const;

  bool empty() const;
  bool waiting() const { return !waiting_.empty(); }

 private:
  // Circular, with a sentinel: a node is unlinked without knowing its list.
  struct List {
    ReadNode head;
    List() { head.next = head.prev = &head; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    bool empty() const { return head.next == &head; }
    void Push(ReadNode& node);
    void Take(List& from);  // appends all of `from`
  };
  struct Bucket {
    List strict;                   // linearizable: its own round only
    List early;                    // may be served by an earlier view that meets its bounds
    Time first_deadline = kNever;  // a lower bound
    bool empty() const { return strict.empty() && early.empty(); }
    void Note(Time deadline) {
      if (deadline < first_deadline) first_deadline = deadline;
    }
    void Take(Bucket& from);
  };

  static bool Meets(Time now, const ViewFacts& view, const ReadNode& node);
  static ReadNode* Pop(List& list);
  static void Unlink(ReadNode& node);
  // Visits each node present at the start; `visit` returns whether it took the node away. What a
  // callback adds or removes meanwhile does no harm: the rest is kept in a list of its own.
  template <typename F>
  static void Sweep(List& list, F&& visit) {
    List left;
    left.Take(list);
    while (!left.empty()) {
      ReadNode& node = *left.head.next;
      if (visit(node)) continue;
      Unlink(node);
      list.Push(node);
    }
  }

  const std::uint64_t cluster_id_;
  Bucket waiting_;
  std::array<Bucket, kSlots> asked_;
  std::array<bool, kSlots> in_use_{};
};

}  // namespace coppice::replica
