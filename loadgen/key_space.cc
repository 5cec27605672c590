#include "loadgen/key_space.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace coppice::loadgen {
namespace {

constexpr int kDigits = 8;
constexpr double kTheta = 0.99;  // as YCSB's

double Zeta(std::uint64_t n) {
  double sum = 0;
  for (std::uint64_t i = 1; i <= n; ++i) sum += 1 / std::pow(static_cast<double>(i), kTheta);
  return sum;
}

}  // namespace

KeySpace::KeySpace(std::string prefix, std::uint64_t keys, Distribution distribution,
                   std::uint64_t seed)
    : prefix_(std::move(prefix)), keys_(keys), distribution_(distribution), rng_(seed) {
  name_ = prefix_ + std::string(kDigits, '0');
  if (distribution != Distribution::kZipf) return;
  zeta_ = Zeta(keys);
  const auto n = static_cast<double>(keys);
  eta_ = (1 - std::pow(2 / n, 1 - kTheta)) / (1 - Zeta(2) / zeta_);
}

std::string KeySpace::range_end() const {
  std::string end = prefix_;
  ++end.back();  // a prefix never ends in 0xff: it is text
  return end;
}

std::uint64_t KeySpace::Draw() {
  switch (distribution_) {
    case Distribution::kHot:
      return 0;
    case Distribution::kZipf:
      return DrawZipf();
    case Distribution::kUniform:
      break;
  }
  return rng_.Below(keys_);
}

// Ranks are scattered over the keys, so that the hot ones are no neighbours.
std::uint64_t KeySpace::DrawZipf() {
  const double u = rng_.Unit();
  const double uz = u * zeta_;
  const auto n = static_cast<double>(keys_);
  std::uint64_t rank = 0;
  if (uz >= 1) {
    rank = uz < 1 + std::pow(0.5, kTheta)
               ? 1
               : static_cast<std::uint64_t>(n * std::pow(eta_ * u - eta_ + 1, 1 / (1 - kTheta)));
  }
  return Mix64(rank) % keys_;
}

std::string_view KeySpace::Name(std::uint64_t key) {
  char* digit = name_.data() + name_.size();
  for (int i = 0; i < kDigits; ++i, key /= 10) *--digit = static_cast<char>('0' + key % 10);
  return name_;
}

std::string_view Values::Make(std::string_view key, std::uint64_t sequence) {
  value_.assign(key);
  fmt::format_to(std::back_inserter(value_), ":{:x}.{:x}:", run_, sequence);
  if (value_.size() < size_) value_.resize(size_, 'x');
  return value_;
}

bool Values::BelongsTo(std::string_view value, std::string_view key) {
  return value.size() > key.size() && value.starts_with(key) && value[key.size()] == ':';
}

std::string_view Values::IdOf(std::string_view value, std::string_view key) {
  if (!BelongsTo(value, key)) return {};
  value.remove_prefix(key.size() + 1);
  const std::size_t end = value.find(':');
  return end == std::string_view::npos ? std::string_view() : value.substr(0, end);
}

std::string Values::Id(std::uint64_t sequence) const {
  return fmt::format("{:x}.{:x}", run_, sequence);
}

}  // namespace coppice::loadgen
