#include "common/replica/read_queue.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/mutant.h"

namespace coppice::replica {
namespace {

constexpr Micros kDeadlineGrid = 10 * kMillisecond;

}  // namespace

void ReadQueue::List::Push(ReadNode& node) {
  node.prev = head.prev;
  node.next = &head;
  head.prev->next = &node;
  head.prev = &node;
}

void ReadQueue::List::Take(List& from) {
  if (from.empty()) return;
  from.head.next->prev = head.prev;
  head.prev->next = from.head.next;
  from.head.prev->next = &head;
  head.prev = from.head.prev;
  from.head.next = from.head.prev = &from.head;
}

void ReadQueue::Bucket::Take(Bucket& from) {
  strict.Take(from.strict);
  early.Take(from.early);
  Note(from.first_deadline);
  from.first_deadline = kNever;
}

void ReadQueue::Unlink(ReadNode& node) {
  node.prev->next = node.next;
  node.next->prev = node.prev;
  node.next = node.prev = nullptr;
}

ReadNode* ReadQueue::Pop(List& list) {
  if (list.empty()) return nullptr;
  ReadNode* node = list.head.next;
  Unlink(*node);
  return node;
}

// Before the first round nothing is known to be ours to serve, serializable reads included.
bool ReadQueue::Meets(Time now, const ViewFacts& view, const ReadNode& node) {
  const Consistency& wanted = node.consistency;
  if (view.fresh_as_of == 0 || wanted.mode == ReadMode::kLinearizable) return false;
  if (wanted.min_revision > view.revision) return false;
  if (wanted.mode == ReadMode::kSerializable) return true;
  if (node.revision > view.revision) return false;
  if (!wanted.max_staleness.has_value() || COPPICE_MUTANT(kServePastBound)) return true;
  return now - view.fresh_as_of <= *wanted.max_staleness;
}

ReadVerdict ReadQueue::Admit(Time now, const ViewFacts& view, ReadNode& node) {
  COPPICE_CHECK(!node.queued());
  const Consistency& wanted = node.consistency;
  if (wanted.session_cluster != 0 && wanted.session_cluster != cluster_id_) {
    return ReadVerdict::kOtherCluster;
  }
  if (node.deadline <= now) return ReadVerdict::kExpired;
  if (Meets(now, view, node)) return ReadVerdict::kServe;
  (wanted.mode == ReadMode::kLinearizable ? waiting_.strict : waiting_.early).Push(node);
  waiting_.Note(node.deadline);
  return ReadVerdict::kQueued;
}

void ReadQueue::Remove(ReadNode& node) {
  if (node.queued()) Unlink(node);
}

int ReadQueue::Close() {
  if (waiting_.empty()) return -1;
  for (int slot = 0; slot < kSlots; ++slot) {
    const auto i = static_cast<std::size_t>(slot);
    if (in_use_[i]) continue;
    in_use_[i] = true;
    asked_[i].Take(waiting_);
    return slot;
  }
  return -1;
}

Time ReadQueue::NextDeadline() const {
  const Time first =
      std::min({waiting_.first_deadline, asked_[0].first_deadline, asked_[1].first_deadline});
  if (first >= kNever - kDeadlineGrid) return kNever;
  return (first + kDeadlineGrid - 1) / kDeadlineGrid * kDeadlineGrid;
}

bool ReadQueue::empty() const {
  return waiting_.empty() && asked_[0].empty() && asked_[1].empty();
}

}  // namespace coppice::replica
