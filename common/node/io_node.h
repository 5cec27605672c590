#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/api/limits.h"
#include "common/api/node.h"
#include "common/io/loop.h"
#include "common/mvcc/store.h"
#include "common/node/forwarder.h"
#include "common/node/pending_writes.h"
#include "common/node/ports.h"
#include "common/node/reads.h"

namespace coppice::node {

// What an io loop of a voter or learner does with requests: reads from the store's views, writes to
// the core if the leader is here, the rest to the leader. A write that finds no leader waits for
// one until its deadline. Thread: its io loop's.
class IoNode final : public api::Node, public IoPort, private io::TurnTask {
 public:
  struct Options {
    int index = 0;  // of the loop, as the store and the core know it
    api::Limits limits;
    std::uint64_t cluster_id = 0;
  };

  IoNode(io::Loop& loop, const Options& options, mvcc::Store& store, CorePort& core,
         Forwarder& forwarder);
  ~IoNode() override;

  // Answers Status and ClusterStatus with what io loops do not know by themselves.
  using Answerer = std::function<void(const api::Request&, std::unique_ptr<api::Replier>)>;
  void SetClusterStatus(Answerer answerer) { cluster_status_ = std::move(answerer); }

  void Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) override;
  // Answers `question` from a view that meets `consistency`; `replier` hears why not.
  void AskRound(const Consistency& consistency, std::unique_ptr<api::Replier> replier,
                Question question);

  void ServeAsked(int slot) override;
  void ViewPublished(Revision revision, const std::vector<mvcc::EventBatchPtr>& events) override;
  void WritesDone(std::vector<WriteOutcome> outcomes) override;
  void Defragmented(const Status& status) override;
  void FactsChanged(const FactsPtr& facts) override;

  const FactsPtr& facts() const { return facts_; }
  std::uint64_t reads_served() const { return reads_.served(); }
  std::size_t writes_pending() const { return writes_.size(); }
  bool idle() const {
    return reads_.idle() && writes_.size() == 0 && parked_.empty() && moves_.empty();
  }

 private:
  struct Parked {
    api::Request request;
    std::unique_ptr<api::Replier> replier;  // holds what the request's views point to
  };

  // A leadership on its way to `to`.
  struct Move {
    NodeId to;
    Time deadline = kNever;
    std::unique_ptr<api::Replier> replier;
  };

  void OnTurn(Time now) override;
  void ServeRange(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeTxn(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeWrite(const api::Request& request, std::unique_ptr<api::Replier> replier);
  Status ParseWrite(const api::Request& request, mvcc::Command& out) const;
  void Write(const api::Request& request, const mvcc::Command& command,
             std::unique_ptr<api::Replier> replier);
  void Elsewhere(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void Park(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeParked();
  void Finish(PendingWrites::Pending pending, WriteOutcome outcome);
  void ReplyApplied(PendingWrites::Pending& pending, const WriteOutcome& outcome);
  void Expire(Time now);
  void ArmTimer();
  // maintenance.cc
  void ServeMemberList(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeStatus(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeHashKv(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeAlarm(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void ServeMoveLeader(const api::Request& request, std::unique_ptr<api::Replier> replier);
  void FinishMoves(Time now);

  io::Loop& loop_;
  const Options options_;
  mvcc::Store& store_;
  CorePort& core_;
  Forwarder& forwarder_;
  Answerer cluster_status_;
  FactsPtr facts_ = std::make_shared<const Facts>();
  Reads reads_;
  PendingWrites writes_;
  std::vector<WriteIntent> intents_;
  std::vector<Parked> parked_;
  std::vector<Move> moves_;
  std::vector<std::unique_ptr<api::Replier>> defragments_;
  Time parked_retry_at_ = 0;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::node
