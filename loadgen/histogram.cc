#include "loadgen/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace coppice::loadgen {

// Values below 2^kSubBits have a bucket each; those of [2^p, 2^(p+1)) share 2^kSubBits buckets.
std::size_t Histogram::BucketOf(std::uint64_t value) {
  constexpr std::uint64_t kSub = 1U << kSubBits;
  if (value < kSub) return value;
  const int shift = std::bit_width(value) - 1 - kSubBits;
  const std::size_t bucket = ((static_cast<std::size_t>(shift) + 1) << kSubBits) +
                             static_cast<std::size_t>((value >> shift) - kSub);
  return std::min(bucket, kBuckets - 1);
}

std::uint64_t Histogram::UpperBound(std::size_t bucket) {
  constexpr std::uint64_t kSub = 1U << kSubBits;
  if (bucket < kSub) return bucket;
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::uint64_t low = kSub + (bucket & (kSub - 1));
  return ((low + 1) << shift) - 1;
}

void Histogram::Add(Micros value) {
  value = std::max<Micros>(value, 0);
  ++buckets_[BucketOf(static_cast<std::uint64_t>(value))];
  ++count_;
  max_ = std::max(max_, value);
}

void Histogram::Merge(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

void Histogram::Clear() {
  *this = Histogram();
}

Micros Histogram::Quantile(double fraction) const {
  if (count_ == 0) return 0;
  const auto wanted = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_))), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(static_cast<Micros>(UpperBound(i)), max_);
  }
  return max_;
}

}  // namespace coppice::loadgen
