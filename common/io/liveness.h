#pragma once

#include "common/base/time.h"

namespace coppice::io {

// Whether a connection has to say something only to be heard, and whether its peer's silence means
// that it is gone. TCP does not tell: what stands between two processes may acknowledge what the
// peer never sees. Both ends ping when they have nothing to say, so that five seconds without a
// byte are five seconds without the peer. Pure: time is an input. Thread: its owner's.
class Liveness {
 public:
  static constexpr int kSilentTicksMax = 5;
  enum class Act {
    kNothing,
    kPing,    // nothing was sent since the last tick
    kGiveUp,  // nothing was received for kSilentTicksMax ticks; not said again
  };

  // Ticks come every `tick`; a peer that ticks alike sends something at least every other one.
  Liveness(Micros tick, Time now) : tick_(tick), last_(now) {}

  void Sent() { sent_ = true; }
  void Received() { received_ = true; }
  // A tick that comes late by half a tick or more says nothing about the peer: this process did not
  // run, and what came meanwhile may lie unread.
  Act Tick(Time now);

 private:
  const Micros tick_;
  Time last_;
  int silent_ticks_ = 0;  // of those that came in time
  bool sent_ = false;
  bool received_ = false;
};

}  // namespace coppice::io
