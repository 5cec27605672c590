#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/raft/types.h"

namespace coppice::raft {

// The algebra of majorities, for simple and joint configurations. Pure functions.
//
// A quorum is a majority of `voters` and, in a joint configuration, also a majority of
// `voters_old` (thesis section 4.3: agreement needs separate majorities of both). Learners are in
// neither list, so they never count.

constexpr std::size_t kMembersMax = 64;  // in each list of a configuration

bool IsVoter(const Configuration& configuration, NodeId id);        // in either half
bool IsMember(const Configuration& configuration, NodeId id);       // or a learner
std::vector<NodeId> VotersOf(const Configuration& configuration);   // both halves, sorted
std::vector<NodeId> MembersOf(const Configuration& configuration);  // learners too, sorted

// The largest value that a quorum has reached: in each half the majority-th highest, of both the
// lower. 0 if there are no voters, since nothing can be agreed on.
std::uint64_t QuorumValue(const Configuration& configuration,
                          const std::function<std::uint64_t(NodeId)>& value_of);

bool IsQuorum(const Configuration& configuration, const std::function<bool(NodeId)>& has);

enum class Tally { kPending, kWon, kLost };
// `vote_of` gives nothing for a voter that has not answered. Lost: no quorum is possible any more.
Tally CountVotes(const Configuration& configuration,
                 const std::function<std::optional<bool>(NodeId)>& vote_of);

// Whether every quorum of `from` shares a node with every quorum of `to`: one voter added or
// removed (thesis section 4.1), entering a joint configuration, or leaving it for its new half
// (section 4.3). Also requires sorted lists, a voter, and no learner that votes.
bool IsSafeChange(const Configuration& from, const Configuration& to);

}  // namespace coppice::raft
