#include "common/raft/quorum.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "common/base/mutant.h"

namespace coppice::raft {
namespace {

using Ids = std::vector<NodeId>;

bool Has(const Ids& ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

Ids Union(const Ids& a, const Ids& b) {
  Ids out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

bool SortedUnique(const Ids& ids) {
  return std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end();
}

std::uint64_t MajorityValue(const Ids& voters,
                            const std::function<std::uint64_t(NodeId)>& value_of) {
  COPPICE_CHECK(voters.size() <= kMembersMax);
  if (voters.empty()) return 0;
  std::array<std::uint64_t, kMembersMax> values;
  for (std::size_t i = 0; i < voters.size(); ++i) values[i] = value_of(voters[i]);
  const auto end = values.begin() + static_cast<std::ptrdiff_t>(voters.size());
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(voters.size() / 2);
  std::nth_element(values.begin(), nth, end, std::greater<>());
  return *nth;
}

std::size_t DifferenceSize(const Ids& a, const Ids& b) {
  Ids out;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out.size();
}

}  // namespace

bool IsVoter(const Configuration& configuration, NodeId id) {
  return Has(configuration.voters, id) || Has(configuration.voters_old, id);
}

bool IsMember(const Configuration& configuration, NodeId id) {
  return IsVoter(configuration, id) || Has(configuration.learners, id);
}

Ids VotersOf(const Configuration& configuration) {
  return Union(configuration.voters, configuration.voters_old);
}

Ids MembersOf(const Configuration& configuration) {
  return Union(VotersOf(configuration), configuration.learners);
}

std::uint64_t QuorumValue(const Configuration& configuration,
                          const std::function<std::uint64_t(NodeId)>& value_of) {
  const bool all = COPPICE_MUTANT(kCountLearnerAck);
  const std::uint64_t value =
      MajorityValue(all ? MembersOf(configuration) : configuration.voters, value_of);
  if (!configuration.joint()) return value;
  return std::min(value, MajorityValue(configuration.voters_old, value_of));
}

bool IsQuorum(const Configuration& configuration, const std::function<bool(NodeId)>& has) {
  return QuorumValue(configuration, [&has](NodeId id) { return has(id) ? 1U : 0U; }) == 1;
}

Tally CountVotes(const Configuration& configuration,
                 const std::function<std::optional<bool>(NodeId)>& vote_of) {
  // Worth 2 if granted, 1 while unknown, 0 if refused: the quorum's value is the election's state.
  const std::uint64_t value = QuorumValue(configuration, [&vote_of](NodeId id) {
    const std::optional<bool> vote = vote_of(id);
    return !vote ? 1U : *vote ? 2U : 0U;
  });
  return value == 2 ? Tally::kWon : value == 1 ? Tally::kPending : Tally::kLost;
}

bool IsSafeChange(const Configuration& from, const Configuration& to) {
  if (to.voters.empty() || to.voters.size() > kMembersMax) return false;
  if (!SortedUnique(to.voters) || !SortedUnique(to.voters_old) || !SortedUnique(to.learners)) {
    return false;
  }
  for (const NodeId id : to.learners) {
    if (IsVoter(to, id)) return false;
  }
  if (from.joint()) return !to.joint() && to.voters == from.voters;
  if (to.joint()) return to.voters_old == from.voters;
  return DifferenceSize(from.voters, to.voters) <= 1;
}

}  // namespace coppice::raft
