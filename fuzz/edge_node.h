#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/api/node.h"
#include "common/api/watch_edge.h"
#include "common/mvcc/store.h"
#include "common/replica/watch_hub.h"
#include "fuzz/parts_feed.h"

namespace coppice::fuzz {

// A voter in small behind the edge: requests go through the parsers to a store in memory, whose
// events a hub gives to the watches. Some are answered late, in parts, or not at all.
class EdgeNode final : public api::Node, public api::WatchAdmitter {
 public:
  EdgeNode();
  ~EdgeNode() override;

  void Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) override;
  void Admit(const mvcc::KeyRange& range, const Consistency& consistency, std::string_view token,
             Done done) override;
  bool HasLeader() const override { return true; }

  replica::WatchHub& hub() { return hub_; }
  // Gives what was applied to the watches, answers what was put off, and goes on with answers.
  void Turn();
  // Drops the requests that are not answered.
  void Stop() { late_.clear(); }

 private:
  struct Late {
    std::unique_ptr<api::Replier> replier;
    std::string response;
  };

  Status Answer(const api::Request& request, std::string& response);
  Status Range(std::string_view bytes, std::string& response);
  Status Propose(const mvcc::Command& command, mvcc::CommandResult& result);
  void Send(std::unique_ptr<api::Replier> replier, std::string response);
  void ReadHistory();

  std::unique_ptr<mvcc::Store> store_;
  replica::WatchHub hub_;
  Index index_;
  std::vector<mvcc::EventBatchPtr> events_;
  PartsFeed feed_;
  std::vector<Late> late_;
  std::vector<Done> admissions_;
  int count_ = 0;
};

}  // namespace coppice::fuzz
