#pragma once

#include <memory>

#include "common/api/node.h"
#include "common/base/ids.h"
#include "common/node/ports.h"

namespace coppice::node {

// Sends requests that this process does not answer itself to the one that does.
// Thread: its io loop's.
class Forwarder {
 public:
  virtual ~Forwarder() = default;
  // To the leader, as `facts` say who that is and where. Fails with FailNotProposed if no byte of
  // it left this process.
  virtual void ToLeader(const api::Request& request, std::unique_ptr<api::Replier> replier) = 0;
  virtual void FactsChanged(const FactsPtr& facts) = 0;
};

}  // namespace coppice::node
