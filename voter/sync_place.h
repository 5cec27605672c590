#pragma once

#include "common/base/time.h"

namespace coppice::voter {

// Where a voter syncs its log (docs/adr/0009-log-syncs.md). On the loop while the disk is quick: it
// would wait for the sync anyway, what comes meanwhile is the next batch, and nothing is handed
// over. Beside the loop where there are cores for it, or for a while once the disk is slow: reads,
// heartbeats and what peers say do not wait. Pure.
class SyncPlace {
 public:
  struct Options {
    bool always_apart = false;
    Micros average_max = kMillisecond;   // slow: syncs take longer than this on average...
    Micros one_max = 10 * kMillisecond;  // ...or one longer than this
    Micros stay = 30 * kSecond;          // apart, after the disk was last slow
  };

  explicit SyncPlace(const Options& options) : options_(options) {}

  bool Apart(Time now) const { return options_.always_apart || now < apart_until_; }
  // A sync that took so long has ended.
  void Took(Time now, Micros took) {
    sixteen_averages_ += took - sixteen_averages_ / 16;
    if (took <= options_.one_max && sixteen_averages_ / 16 <= options_.average_max) return;
    apart_until_ = now + options_.stay;
  }

 private:
  const Options options_;
  Micros sixteen_averages_ = 0;  // of about the last sixteen syncs
  Time apart_until_ = 0;
};

}  // namespace coppice::voter
