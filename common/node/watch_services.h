#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/io/loop.h"
#include "common/mvcc/store.h"
#include "common/node/io_node.h"
#include "common/node/ports.h"
#include "common/node/request_server.h"
#include "common/replica/watch_hub.h"
#include "common/rpc/server.h"

namespace coppice::node {

// The watches of one io loop of a voter or learner: the hub, the clients' streams and the proxies'
// subscriptions over it, and the history they read.
// Thread: its io loop's.
class WatchServices final : public WatchServer, private io::TurnTask {
 public:
  WatchServices(io::Loop& loop, int index, mvcc::Store& store, CorePort& core, IoNode& node);
  ~WatchServices() override;

  rpc::CallHandler* edge() { return nullptr; }
  // A view is out, and the batches that it added.
  void OnEvents(const std::vector<mvcc::EventBatchPtr>& events);
  void SetFacts(const FactsPtr& facts);

  void OnWatchFrame(io::Connection& connection, const io::Frame& frame) override;
  void OnWatchWritable(io::Connection& connection) override;
  void OnWatchClosed(io::Connection& connection) override;

 private:
  void OnTurn(Time now) override;
  void ReadHistory();
  void ArmTimer();

  io::Loop& loop_;
  const int index_;
  mvcc::Store& store_;
  CorePort& core_;
  IoNode& node_;
  FactsPtr facts_;
  replica::WatchHub hub_;
  bool wants_events_ = false;
  Time last_tick_ = 0;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::node
