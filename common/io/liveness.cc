#include "common/io/liveness.h"

#include <utility>

namespace coppice::io {

Liveness::Act Liveness::Tick(Time now) {
  const Micros since = now - std::exchange(last_, now);
  const bool heard = std::exchange(received_, false);
  const bool spoke = std::exchange(sent_, false);
  if (heard) {
    silent_ticks_ = 0;
  } else if (since < tick_ + tick_ / 2) {
    ++silent_ticks_;
  }
  if (silent_ticks_ == kSilentTicksMax) return Act::kGiveUp;
  return spoke ? Act::kNothing : Act::kPing;
}

}  // namespace coppice::io
