#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "common/mvcc/record.h"

namespace coppice::mvcc {

// A version of a key that a later one replaced; its row is in the backend only.
struct Superseded {
  RowId id;
  bool tombstone = false;
};

// The superseded versions of one key, oldest first. The writer appends in place: a reader of an
// older view that sees the new elements is not misled, because it asks for revisions below the
// record of its own view, and all that is appended later is not below it. A full block is replaced.
// Thread: Append by the writer; the rest by any reader whose view protects the block.
class Older {
 public:
  static Older* New(std::uint32_t capacity);
  static void Delete(Older* older);

  std::span<const Superseded> items() const {
    return {data(), size_.load(std::memory_order_acquire)};
  }
  bool full() const { return size_.load(std::memory_order_relaxed) == capacity_; }
  // Ignored unless it is newer than the last element: a batch that the backend refused may have
  // appended it before, and the same entries will be applied again.
  void Append(const Superseded& version);

 private:
  explicit Older(std::uint32_t capacity) : capacity_(capacity) {}
  const Superseded* data() const { return reinterpret_cast<const Superseded*>(this + 1); }
  Superseded* data() { return reinterpret_cast<Superseded*>(this + 1); }

  std::atomic<std::uint32_t> size_{0};
  std::uint32_t capacity_;
};

}  // namespace coppice::mvcc
