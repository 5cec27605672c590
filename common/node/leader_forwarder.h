#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/api/urls.h"
#include "common/base/rng.h"
#include "common/io/transport.h"
#include "common/node/backend.h"
#include "common/node/forwarder.h"

namespace coppice::node {

// Sends an io loop's writes to the leader over a connection of its own, and holds those that find
// it unknown or not reached yet until their deadline. A write that left and whose connection was
// lost fails as Unavailable: its outcome is unknown, so it is not sent twice. Thread: its io
// loop's.
class LeaderForwarder final : public Forwarder, public Backend::Observer {
 public:
  LeaderForwarder(io::Loop& loop, io::Transport& transport, Rng rng);
  ~LeaderForwarder() override;

  void ToLeader(const api::Request& request, std::unique_ptr<api::Replier> replier) override;
  void FactsChanged(const FactsPtr& facts) override;
  // Peer addresses to send to while the leader's is not known (a learner's upstreams: they
  // forward).
  void SetFallback(std::vector<api::Url> addresses) { fallback_ = std::move(addresses); }
  bool idle() const { return waiting_.empty() && (!backend_ || backend_->outstanding() == 0); }

  void OnUp(Backend& backend) override;
  void OnDown(Backend& backend, const Status& reason, std::vector<Unanswered> left) override;
  void OnNotProposed(Backend& backend, Unanswered request) override;
  void OnFrame(Backend& /*backend*/, const io::Frame& /*frame*/) override {}

 private:
  bool LeaderAddress(api::Url& out);
  void Connect();
  void SendWaiting();
  void Tick();

  io::Loop& loop_;
  io::Transport& transport_;
  Rng rng_;
  FactsPtr facts_;
  std::vector<api::Url> fallback_;
  std::size_t next_fallback_ = 0;
  api::Url address_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<Backend>> retired_;  // until out of their own callbacks
  std::vector<Unanswered> waiting_;
  io::Loop::TimerId timer_ = 0;
};

}  // namespace coppice::node
