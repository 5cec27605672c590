#pragma once

#include <functional>
#include <memory>

#include "common/rpc/server.h"

namespace coppice::api {

// grpc.health.v1 for the server as a whole (service "") and for each of the services it has.
// Thread: one loop's. Outlives the server.
class Health {
 public:
  // `serving` is asked at each Check.
  explicit Health(std::function<bool()> serving);
  ~Health();

  rpc::CallHandler& check();
  rpc::CallHandler& watch();
  // Asks again and tells the watchers if the answer has changed. Call it where it may have, or each
  // second or so.
  void Update();

 private:
  class Check;
  class Watch;
  std::function<bool()> serving_;
  std::unique_ptr<Check> check_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace coppice::api
