#pragma once

#include <memory>
#include <string>

#include "loadgen/sim/clients/record.h"
#include "loadgen/sim/clients/requests.h"
#include "loadgen/sim/clients/shared.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {

// One request at a time, again and again, as a client's retry logic does it: a read that failed for
// the moment is repeated elsewhere, a mutation only when nothing of it had left. A request that has
// no answer long after its deadline is given up.
// Thread: one. The world, the session and the draw outlive it.
class UnaryLoop final : private CallEvents {
 public:
  // `pause`: the mean time between requests.
  UnaryLoop(ClientWorld& world, Shared& shared, Session& session, RequestDraw& draw, Micros pause);
  UnaryLoop(const UnaryLoop&) = delete;
  UnaryLoop& operator=(const UnaryLoop&) = delete;

  void Start() { Rest(); }
  bool idle() const { return record_ == nullptr; }
  const OpRecord* running() const { return record_; }

 private:
  void OnMessage(std::string_view message) override;
  void OnEnd(const CallEnd& end) override;

  void Rest();
  void Begin();
  void Attempt();
  void GiveUp();
  bool Repeats(const CallEnd& end) const;
  void RepeatLater();
  void Finish(Outcome outcome, const Status& status);
  void ReadHeader();
  void ReadTrailers(const CallEnd& end);
  int ChooseEndpoint();

  ClientWorld& world_;
  Shared& shared_;
  Session& session_;
  RequestDraw& draw_;
  const Micros pause_;
  CallOptions options_;
  OpRecord* record_ = nullptr;  // the history's
  std::unique_ptr<Call> call_;
  ClientWorld::TimerId give_up_ = 0;
  bool give_up_set_ = false;
  int endpoint_ = -1;
};

// Whether the moment is to blame, not the request.
bool Temporary(StatusCode code);

}  // namespace coppice::sim
