#include "common/mvcc/ring.h"

#include <algorithm>

#include "common/base/check.h"

namespace coppice::mvcc {

void EventRing::Push(const std::vector<EventBatchPtr>& batches) {
  std::vector<EventBatchPtr> dropped;  // declared first: freed once the lock is gone
  const MutexLock lock(mutex_);
  for (const EventBatchPtr& batch : batches) {
    COPPICE_CHECK(batch->revision == next_);
    ++next_;
    bytes_ += batch->bytes;
    batches_.push_back(batch);
  }
  while (bytes_ > bytes_max_ && batches_.size() > 1) {
    bytes_ -= batches_.front()->bytes;
    dropped.push_back(std::move(batches_.front()));
    batches_.pop_front();
  }
}

bool EventRing::From(Revision from, std::size_t max, std::vector<EventBatchPtr>& out) const {
  const MutexLock lock(mutex_);
  if (from >= next_) return true;
  const Revision first = next_ - static_cast<Revision>(batches_.size());
  if (from < first) return false;
  const auto begin = batches_.begin() + (from - first);
  const auto count = std::min<std::size_t>(max, static_cast<std::size_t>(next_ - from));
  out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
  return true;
}

void EventRing::Reset(Revision next) {
  const MutexLock lock(mutex_);
  batches_.clear();
  bytes_ = 0;
  next_ = next;
}

Revision EventRing::First() const {
  const MutexLock lock(mutex_);
  return batches_.empty() ? next_ : batches_.front()->revision;
}

}  // namespace coppice::mvcc
