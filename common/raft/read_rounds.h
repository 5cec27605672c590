#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "common/raft/core.h"

namespace coppice::raft {

// The linearizable reads that a leader has not answered yet (thesis section 6.4).
//
// A round has a number that each append or heartbeat sent after it began carries and each reply of
// this term echoes. A read is confirmed by a quorum of echoes of a round begun after the read came:
// those nodes had then not yet gone to a newer term, so nobody else can have committed anything
// that this leader's commit index at receipt does not cover.
//
// Pure. Invariant: waiting reads ascend by round; a held read waits for no round yet.
class ReadRounds {
 public:
  // The newest round begun; 0 = none yet.
  std::uint64_t round() const { return round_; }
  bool waiting() const { return !waiting_.empty(); }
  bool holding() const { return !held_.empty(); }
  std::uint64_t oldest() const { return waiting_.front().round; }  // requires waiting()

  // Until the leader has committed an entry of its own term it does not know what is committed
  // (thesis section 6.4, step 1): the read waits for Release.
  void Hold(std::uint64_t id) { held_.push_back(id); }
  // Begins a round for a read that has just come. `commit` is what the leader has committed now.
  void Begin(std::uint64_t id, Index commit);
  // Begins one round for all held reads.
  void Release(Index commit);
  // A quorum echoed `round`: its reads and all older ones are ready.
  void Confirm(std::uint64_t round, std::vector<ReadReady>& ready);
  // The leader stepped down.
  void RefuseAll(std::vector<ReadRefused>& refused);

 private:
  struct Waiting {
    std::uint64_t id;
    std::uint64_t round;
    Index index;
  };
  std::uint64_t round_ = 0;
  std::vector<std::uint64_t> held_;
  std::deque<Waiting> waiting_;
};

}  // namespace coppice::raft
