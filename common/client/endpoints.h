#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/base/rng.h"
#include "common/base/time.h"

namespace coppice::client {

enum class Prefer : std::uint8_t {
  kInOrder,    // the first that is well, in the order given
  kLeastBusy,  // the one with the fewest requests outstanding, any of those
};

// Which endpoint an attempt goes to. One that failed is passed over for a while, which doubles from
// 100 ms to 5 s while it goes on failing: it is tried only where no other is left.
//
// Pure. Endpoints are indexes below `count`.
class Endpoints {
 public:
  Endpoints(std::size_t count, Prefer prefer, Rng rng);

  std::size_t size() const { return states_.size(); }
  // One that is not in `tried`; nothing: all are.
  std::optional<std::size_t> Choose(Time now, const std::vector<bool>& tried);

  void Sent(std::size_t endpoint) { ++states_[endpoint].outstanding; }
  void Done(std::size_t endpoint) { --states_[endpoint].outstanding; }
  // It answered, or its connection stands.
  void Well(std::size_t endpoint);
  // It cannot be reached, or cannot serve now.
  void Ill(Time now, std::size_t endpoint);

 private:
  struct State {
    Micros shun = 0;     // for how long it was passed over last
    Time ill_until = 0;  // passed over before this
    std::size_t outstanding = 0;
  };

  std::vector<State> states_;
  const Prefer prefer_;
  Rng rng_;
};

}  // namespace coppice::client
