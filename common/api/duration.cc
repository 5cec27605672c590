#include "common/api/duration.h"

#include <array>
#include <charconv>
#include <utility>

namespace coppice::api {
namespace {

constexpr auto kUnits = std::to_array<std::pair<std::string_view, Micros>>({
    {"us", 1},
    {"ms", kMillisecond},
    {"s", kSecond},
    {"m", 60 * kSecond},
    {"h", 3600 * kSecond},
});
constexpr Micros kLongest = 100LL * 365 * 24 * 3600 * kSecond;

}  // namespace

bool ParseDuration(std::string_view text, Micros& out) {
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc()) return false;
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const auto& [name, micros] : kUnits) {
    if (unit != name) continue;
    if (count > static_cast<std::uint64_t>(kLongest / micros)) return false;
    out = static_cast<Micros>(count) * micros;
    return true;
  }
  return false;
}

std::string FormatDuration(Micros duration) {
  if (duration < kMillisecond) return std::to_string(duration) + "us";
  return std::to_string((duration + kMillisecond - 1) / kMillisecond) + "ms";
}

}  // namespace coppice::api
