#pragma once

#include <cstdint>

namespace coppice {

// Mixes 64 bits so that each input bit reaches each output bit (the finalizer of splitmix64).
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// A deterministic generator: the n-th value is a hash of (seed, stream, n), so that a draw more in
// one stream never shifts another. Not for secrets. Copying one forks it.
class Rng {
 public:
  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0)
      : key_(Mix64(seed ^ Mix64(stream ^ 0x5851f42d4c957f2dULL))) {}

  std::uint64_t Next() { return Mix64(key_ + counter_++ * 0xd1342543de82ef95ULL); }

  // Uniform in [0, bound); bound > 0. The bias is below bound / 2^64.
  std::uint64_t Below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }
  // Uniform in [low, high], both ends included.
  std::int64_t Between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(Below(static_cast<std::uint64_t>(high - low) + 1));
  }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // in [0, 1)
  bool Chance(double probability) { return Unit() < probability; }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace coppice
