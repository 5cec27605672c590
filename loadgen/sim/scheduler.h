#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/base/rng.h"
#include "common/base/time.h"

namespace coppice::sim {

// What happens when: a heap of (time, sequence). Time is true time; it moves only here.
// Thread: one.
class Scheduler {
 public:
  using Task = absl::AnyInvocable<void()>;

  Time now() const { return now_; }
  // Not before now; tasks of the same time run in the order they were given.
  void At(Time when, Task task);
  void After(Micros delay, Task task) { At(now_ + delay, std::move(task)); }
  // Runs the next task; false if there is none at or before `until` (then it is `until`).
  bool RunNext(Time until);
  std::uint64_t events() const { return events_; }

 private:
  struct Event {
    Time at;
    std::uint64_t sequence;
    std::uint32_t slot;  // of tasks_
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };

  Time now_ = 1000 * kSecond;
  std::uint64_t sequence_ = 0;
  std::uint64_t events_ = 0;
  std::vector<Event> heap_;
  std::vector<Task> tasks_;  // a slab: the heap moves small things only
  std::vector<std::uint32_t> free_;
};

// Of everything that happened, in order, and optionally its text. The same seed gives the same hash
// on every machine and in every build.
class Trace {
 public:
  void Add(std::uint64_t a, std::uint64_t b, std::uint64_t c = 0) {
    hash_ = Mix64(hash_ ^ a) + Mix64(b + 0x632be59bd9b4e019ULL * c);
  }
  std::uint64_t hash() const { return hash_; }
  // Where each event is written too, a line each; null: nowhere.
  std::FILE* text = nullptr;

 private:
  std::uint64_t hash_ = 0;
};

}  // namespace coppice::sim
