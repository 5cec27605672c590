#pragma once

#include <map>
#include <optional>
#include <variant>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/raft/messages.h"
#include "common/raft/progress.h"
#include "common/raft/read_rounds.h"

namespace coppice::raft {

// The state that exists only in a role, so that a follower cannot have, say, a leader's progress.

struct Follower {
  NodeId leader;            // of this term; 0 = unknown
  Time heard = 0;           // when the leader was last heard; only with a leader
  Time election_at = 0;     // when to campaign if nothing is heard
  Index verified;           // the log equals the leader's up to here
  std::uint64_t round = 0;  // the newest read round the leader sent
  // The last acknowledgement sent to the leader.
  Index acked;
  std::uint64_t acked_round = 0;
  std::optional<Time> acked_at;
  // An append that overwrites entries whose write is not finished waits for it: otherwise the
  // completion of the old write could be taken for one of the new (Core::Impl::Overwrites).
  std::optional<Append> deferred;
};

// Thesis section 9.6: asks whether it could win before it disturbs anybody with a new term.
struct PreCandidate {
  std::map<NodeId, bool> votes;
  Time election_at = 0;
};

struct Candidate {  // thesis section 3.4
  std::map<NodeId, bool> votes;
  Time election_at = 0;
};

struct Transfer {  // thesis section 3.10
  NodeId to;
  Time abort_at = 0;
  bool told = false;  // TimeoutNow was sent
};

struct Leader {
  std::map<NodeId, Progress> peers;  // every other member
  ReadRounds reads;
  Index term_start;                   // of the no-op that began the term
  std::size_t uncommitted_bytes = 0;  // of the entries after commit
  Time heartbeat_at = 0;
  Time commit_due = kNever;     // when peers that were not told the commit index must be
  Time probe_rest_at = kNever;  // when a read round goes to those who were not asked at first
  std::optional<Transfer> transfer;
};

using RoleState = std::variant<Follower, PreCandidate, Candidate, Leader>;

}  // namespace coppice::raft
