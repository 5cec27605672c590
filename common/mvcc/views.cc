#include "common/mvcc/views.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/base/check.h"

namespace coppice::mvcc {
namespace {

constexpr std::uint64_t kOffline = UINT64_MAX;
constexpr std::size_t kGuests = 32;

}  // namespace

ViewTable::ViewTable(Tree& tree, int loops)
    : tree_(tree), loops_(static_cast<std::size_t>(loops)), places_(loops_ + kGuests) {
  for (Place& place : places_) place.announced = kOffline;
}

ViewTable::~ViewTable() {
  for (const auto& view : views_) tree_.Free(view->garbage);
}

const PublishedView& ViewTable::Acquire(int loop) {
  COPPICE_DCHECK(static_cast<std::size_t>(loop) < loops_);
  std::atomic<std::uint64_t>& announced = places_[static_cast<std::size_t>(loop)].announced;
  if (announced.load(std::memory_order_relaxed) == kOffline) announced.store(sequence_.load());
  return *current_.load();
}

void ViewTable::Quiesce(int loop, bool blocking) {
  places_[static_cast<std::size_t>(loop)].announced.store(blocking ? kOffline : sequence_.load());
}

void ViewTable::Publish(std::unique_ptr<PublishedView> view, Garbage garbage) {
  view->sequence = views_.empty() ? 1 : views_.back()->sequence + 1;
  if (!views_.empty()) views_.back()->garbage = std::move(garbage);
  views_.push_back(std::move(view));
  current_.store(views_.back().get());
  sequence_.store(views_.back()->sequence);
  Reclaim();
}

std::uint64_t ViewTable::LowestAnnounced() const {
  std::uint64_t lowest = kOffline;
  for (const Place& place : places_) lowest = std::min(lowest, place.announced.load());
  return lowest;
}

void ViewTable::Reclaim() {
  if (views_.size() == 1) return;
  // Pins are read after the announcements: a loop pins before it announces the end of its turn.
  const std::uint64_t lowest = LowestAnnounced();
  while (views_.size() > 1 && views_.front()->sequence < lowest && views_.front()->pins == 0) {
    tree_.Free(views_.front()->garbage);
    views_.pop_front();
  }
}

ViewTable::Guest::Guest(ViewTable& table) {
  for (std::size_t i = 0;; ++i) {
    std::atomic<std::uint64_t>& place = table.places_[table.loops_ + i % kGuests].announced;
    std::uint64_t offline = kOffline;
    if (place.compare_exchange_strong(offline, table.sequence_.load())) {
      place_ = &place;
      break;
    }
    if (i % kGuests == kGuests - 1) std::this_thread::yield();
  }
  view_ = table.current_.load();
}

ViewTable::Guest::~Guest() {
  place_->store(kOffline);
}

}  // namespace coppice::mvcc
