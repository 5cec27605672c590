#pragma once

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/base/time.h"
#include "loadgen/sim/scheduler.h"

namespace coppice::sim {

// A machine's clock: it began at another time than the others, runs faster or slower than true
// time, and may jump forward (a machine that was suspended). It never goes back.
// In a turn of the machine's process time passes too: Spend.
class MachineClock final : public Clock {
 public:
  // `rate_ppm`: local microseconds in a million true ones.
  MachineClock(const Scheduler& scheduler, Time start, std::int64_t rate_ppm)
      : scheduler_(scheduler), base_true_(scheduler.now()), base_local_(start), rate_(rate_ppm) {}

  Time Now() const override {
    const Time now = std::max(shown_, At(scheduler_.now() + spent_));
    if (!beside_) shown_ = now;
    return now;
  }
  std::int64_t UnixMicros() const override { return Now() + kUnixOffset; }

  // The first true time at which the clock shows `local` or more.
  Time TrueTimeOf(Time local) const {
    if (local <= base_local_) return base_true_;
    const auto left = static_cast<__int128>(local - base_local_) * kMillion + rate_ - 1;
    return base_true_ + static_cast<Time>(left / rate_);
  }

  void Jump(Micros forward) {
    Rebase();
    base_local_ += forward;
  }
  void SetRate(std::int64_t rate_ppm) {
    Rebase();
    rate_ = rate_ppm;
  }
  std::int64_t rate_ppm() const { return rate_; }

  // The running turn has taken so much true time already.
  void Spend(Micros time) { spent_ += time; }
  Micros spent() const { return spent_; }
  void ResetSpent() { spent_ = 0; }
  // Does what a thread beside the loops would: it spends time of its own, which is returned, and
  // which the loops do not see.
  template <typename Work>
  Micros Beside(const Work& work) {
    const Micros in_turn = std::exchange(spent_, 0);
    beside_ = true;
    work();
    beside_ = false;
    return std::exchange(spent_, in_turn);
  }

 private:
  static constexpr std::int64_t kMillion = 1'000'000;
  static constexpr std::int64_t kUnixOffset = 1'700'000'000 * kMillion;

  Time At(Time true_time) const {
    return base_local_ +
           static_cast<Time>(static_cast<__int128>(true_time - base_true_) * rate_ / kMillion);
  }
  void Rebase() {
    const Time local = At(scheduler_.now());
    base_true_ = scheduler_.now();
    base_local_ = local;
  }

  const Scheduler& scheduler_;
  Time base_true_;
  Time base_local_;
  std::int64_t rate_;
  Micros spent_ = 0;
  bool beside_ = false;
  mutable Time shown_ = 0;  // a rate that changes within a long turn does not take it back
};

}  // namespace coppice::sim
