#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/raft/types.h"
#include "loadgen/sim/ports.h"
#include "voter/voter.h"

namespace coppice::sim {

// What a voter shows is committed, and what it has acknowledged is on its disk: whenever one starts
// again, its log must hold all that it held (and its peers may have been told of) when it was
// killed, its term and its vote, and all that its store had applied. Thread: the world's.
class Durability {
 public:
  explicit Durability(std::vector<Violation>& violations) : violations_(violations) {}

  // After a turn: nothing is visible before a quorum has it.
  void Turned(const std::string& name, voter::Voter& voter);
  // Before a voter is killed, between two of its turns, with or without its machine's power.
  void Killing(const std::string& name, const voter::Voter& voter);
  // A message leaves a voter: a vote that it gives must be saved by then.
  void Sent(const std::string& name, NodeId to, std::string_view message);
  // A voter's process ends, whatever the reason. `applied` is its store's.
  void Ending(const std::string& name, Index applied);
  // It runs again.
  void Started(const std::string& name, const voter::Voter& voter);

 private:
  struct Held {
    raft::HardState hard_state;
    Index last;
  };
  void CheckVote(const std::string& name, const wal::HardState& now, Term term, NodeId vote);
  void Violated(const std::string& name, const std::string& what);

  std::vector<Violation>& violations_;
  struct Vote {
    Term term;
    NodeId vote;
  };
  std::map<std::string, Held> held_;
  std::map<std::string, Vote> given_;  // the last one of each
  std::map<std::string, Index> applied_;
};

}  // namespace coppice::sim
