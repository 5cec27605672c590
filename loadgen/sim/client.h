#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loadgen/sim/clock.h"
#include "loadgen/sim/network.h"
#include "loadgen/sim/ports.h"
#include "loadgen/sim/process.h"

namespace coppice::sim {

// A client's machine: its clock, its connections, its calls. A connection that is silent for 5
// seconds is asked with a ping, and given up 3 seconds later.
// Thread: the world's.
class SimClient final : public ClientWorld {
 public:
  struct Options {
    int index = 0;
    HostId host = 0;
    Time clock_start = 0;
    std::int64_t clock_ppm = 1'000'000;
  };
  struct Address {
    HostId host = 0;
    std::uint16_t port = 0;
  };

  SimClient(Fabric& fabric, const Options& options, const std::vector<Endpoint>& endpoints,
            std::vector<Address> addresses);
  ~SimClient() override;

  int index() const override { return options_.index; }
  Time TrueNow() const override { return fabric_.scheduler.now(); }
  Time LocalNow() const override { return clock_.Now(); }
  Rng& rng() override { return rng_; }
  TimerId After(Micros delay, std::function<void()> task) override;
  void Cancel(TimerId id) override { timers_.erase(id); }
  const std::vector<Endpoint>& endpoints() const override { return endpoints_; }
  std::unique_ptr<Call> Open(int endpoint, const CallOptions& options, CallEvents& events) override;

 private:
  class Channel;
  class ClientCall;

  Fabric& fabric_;
  const Options options_;
  MachineClock clock_;
  Rng rng_;
  const std::vector<Endpoint>& endpoints_;
  const std::vector<Address> addresses_;
  TimerId last_timer_ = 0;
  std::map<TimerId, std::function<void()>> timers_;
  std::map<int, std::shared_ptr<Channel>> channels_;  // by endpoint: the one that new calls use
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace coppice::sim
