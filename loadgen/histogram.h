#pragma once

#include <array>
#include <cstdint>

#include "common/base/time.h"

namespace coppice::loadgen {

// Latencies in buckets whose width grows with the value: 64 for each power of two, so a percentile
// is at most 1/64 (1.6 %) above the true one. No allocation. Thread: one.
class Histogram {
 public:
  void Add(Micros value);
  void Merge(const Histogram& other);
  void Clear();

  std::uint64_t count() const { return count_; }
  Micros max() const { return max_; }
  // The smallest value that at least `fraction` (0 to 1) of all are not above; 0 if there is none.
  Micros Quantile(double fraction) const;

 private:
  static constexpr int kSubBits = 6;
  static constexpr int kPowersMax = 34;  // 2^40 us; longer ones count as that
  static constexpr std::size_t kBuckets = (kPowersMax + 1) << kSubBits;

  static std::size_t BucketOf(std::uint64_t value);
  static std::uint64_t UpperBound(std::size_t bucket);

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  Micros max_ = 0;
};

}  // namespace coppice::loadgen
