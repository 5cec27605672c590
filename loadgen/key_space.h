#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/rng.h"
#include "loadgen/options.h"

namespace coppice::loadgen {

// The keys of a run, PREFIX and eight digits, and which of them is next. The key after the last
// (number `keys`) is never drawn: the fence of a recorded run. Thread: one.
class KeySpace {
 public:
  KeySpace(std::string prefix, std::uint64_t keys, Distribution distribution, std::uint64_t seed);

  std::uint64_t keys() const { return keys_; }
  std::uint64_t fence() const { return keys_; }
  const std::string& prefix() const { return prefix_; }
  std::string range_end() const;  // of all keys with the prefix

  std::uint64_t Draw();
  // Valid until the next call.
  std::string_view Name(std::uint64_t key);

 private:
  std::uint64_t DrawZipf();

  std::string prefix_;
  std::uint64_t keys_;
  Distribution distribution_;
  Rng rng_;
  std::string name_;
  // Of Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994).
  double zeta_ = 0;
  double eta_ = 0;
};

// Unique values that name their key: KEY:RUN.SEQUENCE: and padding up to the size asked for. RUN
// tells one load generator's run from another's.
class Values {
 public:
  Values(std::uint64_t run, std::size_t size) : run_(run), size_(size) {}

  // Valid until the next call.
  std::string_view Make(std::string_view key, std::uint64_t sequence);
  // Whether `value` was made for `key`, by whichever run.
  static bool BelongsTo(std::string_view value, std::string_view key);
  // RUN.SEQUENCE: the part that makes it unique. Empty if it is not one of these values.
  static std::string_view IdOf(std::string_view value, std::string_view key);
  std::string Id(std::uint64_t sequence) const;

 private:
  std::uint64_t run_;
  std::size_t size_;
  std::string value_;
};

}  // namespace coppice::loadgen
