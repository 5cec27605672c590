#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/api/watch_edge.h"
#include "common/io/loop.h"
#include "common/mvcc/store.h"
#include "common/node/io_node.h"
#include "common/node/ports.h"
#include "common/node/request_server.h"
#include "common/node/tuning.h"
#include "common/replica/watch_connection.h"
#include "common/replica/watch_hub.h"

namespace coppice::node {

// The watches of one io loop of a voter or learner: the hub, the clients' streams and the proxies'
// subscriptions over it, and the history they read.
// Thread: its io loop's.
class WatchServices final : public WatchServer, private api::WatchAdmitter, private io::TurnTask {
 public:
  struct Options {
    int index = 0;  // of the loop
    std::uint64_t cluster_id = 0;
    std::uint64_t member_id = 0;
    std::vector<Consistency> listener_defaults;
    Tuning tuning;
  };

  WatchServices(io::Loop& loop, Options options, mvcc::Store& store, CorePort& core, IoNode& node);
  ~WatchServices() override;

  rpc::CallHandler& edge() { return edge_; }
  // A view is out: the newest revision that it added (0: none), and the batches.
  void OnEvents(Revision revision, const std::vector<mvcc::EventBatchPtr>& events);
  void SetFacts(const FactsPtr& facts);
  const replica::WatchHub& hub() const { return hub_; }

  void OnWatchFrame(io::Connection& connection, const io::Frame& frame) override;
  void OnWatchWritable(io::Connection& connection) override;
  void OnWatchClosed(io::Connection& connection) override;

 private:
  struct Peer;

  void OnTurn(Time now) override;
  void Admit(const mvcc::KeyRange& range, const Consistency& consistency, std::string_view token,
             Done done) override;
  bool HasLeader() const override;
  void ReadHistory();
  void ArmTimer();
  void WakeUp() { loop_.Wake(*this, io::Loop::Phase::kCore); }

  io::Loop& loop_;
  const int index_;
  mvcc::Store& store_;
  CorePort& core_;
  IoNode& node_;
  FactsPtr facts_;
  replica::WatchHub hub_;
  api::WatchEdge edge_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Peer>> peers_;  // by connection
  bool wants_events_ = false;
  Revision published_;  // the loop was told of all up to it; its view may be ahead of that
  Time ticked_at_ = 0;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::node
