#pragma once

#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace coppice::wal {

struct Position {
  Index index;
  std::uint64_t segment = 0;  // its sequence number
  std::uint64_t offset = 0;   // of the entry's record
};

// Where entries are: of each segment's first, of each that rewrote an index, and of one in about
// every 32 KiB. From a noted entry up to the next noted index, entries follow each other in one
// file with nothing but the log's own records between them.
// Invariant: indices rise strictly. Thread: one.
class Positions {
 public:
  static constexpr std::uint64_t kStrideBytes = 32U << 10;

  // Entries in the order in which they are in the log; a rewritten index forgets what followed it.
  void Note(const Position& entry) {
    if (notes_.empty() || entry.index <= last_) {
      while (!notes_.empty() && notes_.back().index >= entry.index) notes_.pop_back();
      notes_.push_back(entry);
    } else if (notes_.back().segment != entry.segment ||
               entry.offset - notes_.back().offset >= kStrideBytes) {
      notes_.push_back(entry);
    }
    last_ = entry.index;
  }

  // The noted entry at or before `index`, and the index up to which it leads (max if to the end).
  // `index` is at or above the first one noted.
  [[nodiscard]] Position Find(Index index, Index& until) const {
    std::size_t low = 0;
    std::size_t high = notes_.size();
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (notes_[middle].index <= index ? low : high) = middle;
    }
    until = high < notes_.size() ? notes_[high].index : Index(UINT64_MAX);
    return notes_[low];
  }

  [[nodiscard]] std::size_t size() const { return notes_.size(); }

 private:
  std::vector<Position> notes_;
  Index last_;
};

}  // namespace coppice::wal
