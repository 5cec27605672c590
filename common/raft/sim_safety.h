#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/raft/core.h"

namespace coppice::raft {

// What must hold between all nodes of a cluster, ever (thesis figure 3.2), fed with what each node
// does. Every check aborts with the reason. For tests.
class SimSafety {
 public:
  // A node took a step from `before` to `core`, with these effects.
  void Stepped(NodeId node, const Status& before, const Core& core, const Output& out);
  void ReadAsked(std::uint64_t id) { reads_[id] = highest_commit_; }
  Index highest_commit() const { return highest_commit_; }
  std::size_t reads_answered() const { return reads_answered_; }
  std::uint64_t leaders() const { return leaders_.size(); }

 private:
  struct Known {
    std::string payload;
    RecordKind kind;
    Term prev_term;
  };
  void CheckLeader(NodeId node, const Status& before, const Core& core, const Output& out);
  void CheckLog(const Core& core, const Output& out);
  void CheckApply(Term in, const Output& out);
  void CheckReads(const Output& out);

  std::map<Term, NodeId> leaders_;
  std::map<std::pair<Index, Term>, Known> entries_;
  struct Committed {
    Term term;  // the entry's
    Term in;    // the term in which it was committed
  };
  std::map<Index, Committed> committed_;
  Index highest_commit_;  // of any node: no less than what was acknowledged to any client
  std::map<std::uint64_t, Index> reads_;
  std::size_t reads_answered_ = 0;
};

}  // namespace coppice::raft
