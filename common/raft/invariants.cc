#include "common/raft/invariants.h"

#include "common/base/check.h"

namespace coppice::raft {
namespace {

void CheckLeader(const Invariants::View& now, const Leader& leader) {
  const Log& log = *now.log;
  COPPICE_CHECK(now.hard.vote == now.self, "a leader voted for itself");
  COPPICE_CHECK(log.last_term() == now.hard.term, "a leader's log ends in its own term");
  COPPICE_CHECK(leader.term_start <= log.last_index());
  COPPICE_CHECK(!leader.peers.contains(now.self));
  for (const auto& [id, peer] : leader.peers) {
    COPPICE_CHECK(peer.match() < peer.next());
    COPPICE_CHECK(peer.next() <= log.last_index() + 1);
    COPPICE_CHECK(peer.echo <= leader.reads.round() && peer.sent_round <= leader.reads.round());
  }
}

}  // namespace

void Invariants::Check(const View& now) {
  const Log& log = *now.log;
  COPPICE_CHECK(now.hard.commit <= log.last_index(), "only what is in the log is committed");
  COPPICE_CHECK(now.durable <= log.last_index());
  COPPICE_CHECK(now.handed <= now.hard.commit && now.handed <= now.durable,
                "applied: committed and durable here");
  COPPICE_CHECK(now.applied <= now.handed, "nothing is applied that was not given out");
  COPPICE_CHECK(log.snapshot_index() <= now.handed);
  COPPICE_CHECK(log.first_in_window() <= now.handed + 1, "what is to be applied is in memory");
  COPPICE_CHECK(log.last_term() <= now.hard.term, "the log is not ahead of the term");
  const auto* leader = std::get_if<Leader>(now.role);
  if (leader != nullptr) CheckLeader(now, *leader);
  if (last_) {
    COPPICE_CHECK(now.hard.term >= last_->hard.term, "terms never go back");
    COPPICE_CHECK(now.hard.commit >= last_->hard.commit, "commit never goes back");
    COPPICE_CHECK(now.handed >= last_->handed, "each index is applied once");
    const bool same_term = now.hard.term == last_->hard.term;
    COPPICE_CHECK(!same_term || last_->hard.vote == NodeId(0) || now.hard.vote == last_->hard.vote,
                  "one vote a term");
    COPPICE_CHECK(
        !same_term || !last_->leader || leader == nullptr || log.last_index() >= last_->last_index,
        "a leader only appends");
  }
  last_ = Last{now.hard, now.handed, log.last_index(), leader != nullptr};
}

}  // namespace coppice::raft
