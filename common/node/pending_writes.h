#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/api/node.h"
#include "common/base/time.h"

namespace coppice::node {

// An io loop's proposals whose outcome is not known yet: a slab, named by {slot, generation} so
// that a late outcome of one that timed out finds nothing. Thread: its io loop's.
class PendingWrites {
 public:
  struct Pending {
    std::unique_ptr<api::Replier> replier;  // holds what the request's views point to
    api::Request request;  // in case it was certainly not proposed, and goes elsewhere
  };

  std::uint64_t Add(Pending pending) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    if (pending.request.deadline < earliest_) earliest_ = pending.request.deadline;
    slots_[slot].pending = std::move(pending);
    return static_cast<std::uint64_t>(slots_[slot].generation) << 32 | slot;
  }

  // Takes it out; its replier is null if the token's write is over.
  Pending Take(std::uint64_t token) {
    const auto slot = static_cast<std::uint32_t>(token);
    if (slot >= slots_.size() || slots_[slot].generation != token >> 32) return {};
    return Release(slot);
  }

  Time NextDeadline() const { return earliest_; }
  // Takes out one that is past its deadline; its replier is null if there is none (any more).
  Pending TakeExpired(Time now) {
    if (now < earliest_) return {};
    earliest_ = kNever;
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
      const Pending& pending = slots_[slot].pending;
      if (pending.replier == nullptr) continue;
      if (pending.request.deadline <= now) {
        earliest_ = now;  // there may be more
        return Release(slot);
      }
      if (pending.request.deadline < earliest_) earliest_ = pending.request.deadline;
    }
    return {};
  }
  std::size_t size() const { return slots_.size() - free_.size(); }

 private:
  struct Slot {
    Pending pending;
    std::uint32_t generation = 1;
  };

  Pending Release(std::uint32_t slot) {
    Pending pending = std::move(slots_[slot].pending);
    slots_[slot].pending = {};
    ++slots_[slot].generation;
    free_.push_back(slot);
    return pending;
  }

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  Time earliest_ = kNever;
};

}  // namespace coppice::node
