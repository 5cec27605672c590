#include "loadgen/sim/scheduler.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace coppice::sim {

void Scheduler::At(Time when, Task task) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(tasks_.size());
    tasks_.push_back(std::move(task));
  } else {
    slot = free_.back();
    free_.pop_back();
    tasks_[slot] = std::move(task);
  }
  heap_.push_back({std::max(when, now_), ++sequence_, slot});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

bool Scheduler::RunNext(Time until) {
  if (heap_.empty() || heap_.front().at > until) {
    now_ = std::max(now_, until);
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  const Event event = heap_.back();
  heap_.pop_back();
  now_ = event.at;
  ++events_;
  Task task = std::move(tasks_[event.slot]);
  free_.push_back(event.slot);
  task();
  return true;
}

}  // namespace coppice::sim
