#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "common/mvcc/mutex.h"
#include "common/mvcc/store.h"

namespace coppice::mvcc {

// The most recent event batches, bounded in bytes, one per revision without a gap.
// Thread: Push by the writer, From by any; the lock is held to copy pointers only.
class EventRing {
 public:
  explicit EventRing(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void Push(const std::vector<EventBatchPtr>& batches);
  // See Store::EventsFrom.
  bool From(Revision from, std::size_t max, std::vector<EventBatchPtr>& out) const;
  Revision First() const;  // the oldest revision it reaches back to
  // Says which revision comes next while the ring is empty.
  void Reset(Revision next);

 private:
  const std::size_t bytes_max_;
  mutable Mutex mutex_;
  std::deque<EventBatchPtr> batches_ ABSL_GUARDED_BY(mutex_);
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  Revision next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace coppice::mvcc
