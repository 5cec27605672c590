#include "common/client/endpoints.h"

#include <algorithm>
#include <tuple>

namespace coppice::client {
namespace {

constexpr Micros kShunFirst = 100 * kMillisecond;
constexpr Micros kShunMax = 5 * kSecond;

}  // namespace

Endpoints::Endpoints(std::size_t count, Prefer prefer, Rng rng)
    : states_(count), prefer_(prefer), rng_(rng) {}

std::optional<std::size_t> Endpoints::Choose(Time now, const std::vector<bool>& tried) {
  std::optional<std::size_t> best;
  std::tuple<Time, std::size_t> best_rank;
  std::uint64_t equal = 0;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (tried[i]) continue;
    const State& state = states_[i];
    const Time ill_until = state.ill_until > now ? state.ill_until : 0;
    const std::tuple rank(ill_until, prefer_ == Prefer::kLeastBusy ? state.outstanding : i);
    if (best && rank > best_rank) continue;
    equal = best && rank == best_rank ? equal + 1 : 1;
    // The k-th of equals replaces the choice so far with probability 1/k: each is as likely.
    if (equal == 1 || rng_.Below(equal) == 0) best = i;
    best_rank = rank;
  }
  return best;
}

void Endpoints::Well(std::size_t endpoint) {
  states_[endpoint].shun = 0;
  states_[endpoint].ill_until = 0;
}

void Endpoints::Ill(Time now, std::size_t endpoint) {
  State& state = states_[endpoint];
  if (now < state.ill_until) return;  // one failure, told by many requests
  state.shun = std::clamp(2 * state.shun, kShunFirst, kShunMax);
  state.ill_until = now + state.shun;
}

}  // namespace coppice::client
