#pragma once

#include <cstdint>
#include <vector>

#include "loadgen/engine.h"

namespace coppice::loadgen {

// Puts and gets of drawn keys, without end. Reads take the run's consistencies in turn.
class MixedSource final : public OpSource {
 public:
  explicit MixedSource(const Options& options);
  bool Next(Op& op) override;

 private:
  KeySpace keys_;
  Rng rng_;
  double read_ratio_;
  std::vector<ReadMode> modes_;
  std::size_t next_mode_ = 0;
};

// Each of the keys [first, end) once, and again those that Retry names.
class SweepSource final : public OpSource {
 public:
  SweepSource(OpKind kind, std::uint64_t first, std::uint64_t end)
      : kind_(kind), next_(first), end_(end) {}

  bool Next(Op& op) override;
  void Retry(std::uint64_t key) { again_.push_back(key); }

 private:
  OpKind kind_;
  std::uint64_t next_;
  std::uint64_t end_;
  std::vector<std::uint64_t> again_;
};

}  // namespace coppice::loadgen
