#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "loadgen/sim/coverage.h"
#include "loadgen/sim/ports.h"
#include "voter/voter.h"

namespace coppice::sim {

// Raft's five safety properties (thesis figure 3.2) between all voters of a run, from what each
// one's core shows after its turns. Thread: the world's.
class RaftSafety {
 public:
  RaftSafety(Coverage& coverage, std::vector<Violation>& violations)
      : coverage_(coverage), violations_(violations) {}

  // After a turn of the voter `name`.
  void Observe(const std::string& name, voter::Voter& voter);
  // Its process is another one from now on: memory is gone.
  void Restarted(const std::string& name);
  Index highest_commit() const { return highest_commit_; }
  Term highest_term() const { return highest_term_; }
  std::string leader() const { return leader_; }  // of the highest term; empty: none yet

 private:
  struct Seen {
    Term term;
    Index commit;
    Index last;
    raft::Role role = raft::Role::kFollower;
    Term leading;    // the term in which it leads
    Index led_from;  // its last entry when it began to
  };
  struct Committed {
    Term term;  // the entry's
    std::uint32_t crc = 0;
    Term in;  // the term in which it was committed
  };
  void Violated(std::string property, std::string what);
  void CheckElection(const std::string& name, const raft::Status& status);
  void CheckCompleteness(const std::string& name, const raft::Core& core);
  void CheckCommitted(const std::string& name, const raft::Core& core, Term in, Index from,
                      Index to);
  void CheckLog(const std::string& name, const raft::Core& core, Index from, Index to);

  Coverage& coverage_;
  std::vector<Violation>& violations_;
  std::map<Term, std::string> leaders_;
  std::map<std::string, Seen> seen_;
  std::map<Index, Committed> committed_;
  std::map<std::pair<Index, Term>, Term> before_;  // (index, term) -> the term of the entry before
  std::map<Term, Index> committed_in_;             // the highest commit index of each term
  Index highest_commit_;
  Term highest_term_;
  std::string leader_;
};

}  // namespace coppice::sim
