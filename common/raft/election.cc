// Who leads: pre-vote, votes, timeouts (thesis sections 3.4, 3.6.1, 4.2.3, 9.6).

#include <algorithm>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/raft/core_impl.h"

namespace coppice::raft {
namespace {

// When a leader's process died its followers know at once: a short jitter separates their
// campaigns, where an election timeout would only add to the outage.
constexpr Micros kGoneJitter = 50 * kMillisecond;

}  // namespace

Time Core::Impl::DrawElectionTime() {
  return now_ + rng_.Between(config_.election_timeout, 2 * config_.election_timeout);
}

Time Core::Impl::DrawRetryTime() {
  return now_ + rng_.Between(config_.election_timeout / 20, config_.election_timeout / 4);
}

const Time* Core::Impl::ElectionTime() const {
  if (const auto* state = std::get_if<Follower>(&role_)) return &state->election_at;
  if (const auto* state = std::get_if<PreCandidate>(&role_)) return &state->election_at;
  if (const auto* state = std::get_if<Candidate>(&role_)) return &state->election_at;
  return nullptr;
}

bool Core::Impl::CanCampaign() const {
  return std::any_of(configurations_.begin(), configurations_.end(),
                     [this](const auto& known) { return IsVoter(known.second, config_.id); });
}

bool Core::Impl::HearsLeader() const {
  if (std::holds_alternative<Leader>(role_)) return true;  // else it had stepped down
  const auto* follower = std::get_if<Follower>(&role_);
  return follower != nullptr && follower->leader != NodeId(0) &&
         now_ < follower->heard + config_.election_timeout;
}

void Core::Impl::BecomeFollower(Term term, NodeId leader_id) {
  COPPICE_CHECK(term >= term_);
  if (Leader* leads = leader()) leads->reads.RefuseAll(out_->reads_refused);
  const Time* election = ElectionTime();
  Follower next;
  next.leader = leader_id;
  next.heard = now_;
  // A higher term alone is no sign of a live leader: the old deadline stays.
  next.election_at = leader_id == NodeId(0) && election != nullptr && *election > now_
                         ? *election
                         : DrawElectionTime();
  role_ = std::move(next);
  if (term == term_) return;
  term_ = term;
  vote_ = NodeId(0);
  SaveHardState();
}

void Core::Impl::BecomePreCandidate() {
  PreCandidate next;
  next.votes[config_.id] = true;
  next.election_at = DrawElectionTime();
  role_ = std::move(next);
  const PreVoteRequest request{term_ + 1, log_.last_index(), log_.last_term()};
  for (const NodeId id : VotersOf(configuration())) {
    if (id != config_.id) SendNow(id, request);
  }
  CountPreVotes();
}

void Core::Impl::BecomeCandidate(bool transfer) {
  Candidate next;
  next.votes[config_.id] = true;
  next.election_at = DrawElectionTime();
  role_ = std::move(next);
  ++term_;
  vote_ = config_.id;
  SaveHardState();
  // Nobody may answer before our own vote is on disk: a restart could give it to another.
  const VoteRequest request{term_, log_.last_index(), log_.last_term(), transfer};
  for (const NodeId id : VotersOf(configuration())) {
    if (id != config_.id) SendAfterDurable(id, request);
  }
  CountElectionVotes();
}

void Core::Impl::On(NodeId from, const PreVoteRequest& m) {
  // Granting promises nothing: neither term nor vote changes.
  const bool granted = m.term > term_ && !HearsLeader() && log_.UpToDate(m.last_index, m.last_term);
  SendNow(from, PreVoteReply{granted ? m.term : term_, granted});
  if (Follower* follows = follower(); granted && follows != nullptr) {
    // The sender is about to campaign; one that starts just after it would split the votes.
    follows->election_at = std::max(follows->election_at, DrawRetryTime());
  }
}

void Core::Impl::On(NodeId from, const PreVoteReply& m) {
  auto* state = std::get_if<PreCandidate>(&role_);
  if (state == nullptr || (m.granted && m.term != term_ + 1)) return;
  state->votes[from] = m.granted;
  CountPreVotes();
}

void Core::Impl::CountPreVotes() {
  auto& state = std::get<PreCandidate>(role_);
  const Tally tally = CountVotes(configuration(), [&state](NodeId id) -> std::optional<bool> {
    const auto vote = state.votes.find(id);
    if (vote == state.votes.end()) return std::nullopt;
    return vote->second;
  });
  if (tally == Tally::kWon) BecomeCandidate(/*transfer=*/false);
  if (tally == Tally::kLost) BecomeFollower(term_, NodeId(0));
}

void Core::Impl::On(NodeId from, const VoteRequest& m) {
  // Here m.term == term_. Thesis section 3.4: one vote a term, first come first served; section
  // 3.6.1: only for a log that holds all that may be committed.
  const bool free = vote_ == from || (vote_ == NodeId(0) && LeaderId() == NodeId(0));
  const bool granted = free && log_.UpToDate(m.last_index, m.last_term);
  if (!granted) {
    SendNow(from, VoteReply{term_, false});
    return;
  }
  if (vote_ != from) {
    vote_ = from;
    if (!COPPICE_MUTANT(kVoteBeforeSave)) SaveHardState();
  }
  if (Follower* follows = follower()) follows->election_at = DrawElectionTime();
  SendAfterDurable(from, VoteReply{term_, true});
}

void Core::Impl::On(NodeId from, const VoteReply& m) {
  auto* state = std::get_if<Candidate>(&role_);
  if (state == nullptr) return;
  state->votes[from] = m.granted;
  // The votes are split, perhaps with a voter that is gone for good. A quorum had pre-voted, so
  // there is no leader to disturb, and waiting a whole timeout only adds to the outage.
  if (!m.granted) state->election_at = std::min(state->election_at, DrawRetryTime());
  CountElectionVotes();
}

void Core::Impl::CountElectionVotes() {
  auto& state = std::get<Candidate>(role_);
  const Tally tally = CountVotes(configuration(), [&state](NodeId id) -> std::optional<bool> {
    const auto vote = state.votes.find(id);
    if (vote == state.votes.end()) return std::nullopt;
    return vote->second;
  });
  if (tally == Tally::kWon) BecomeLeader();
  if (tally == Tally::kLost) BecomeFollower(term_, NodeId(0));
}

void Core::Impl::BecomeLeader() {
  Leader next;
  for (const NodeId id : MembersOf(configuration())) {
    if (id != config_.id) next.peers.emplace(id, Progress(log_.last_index() + 1, now_));
  }
  next.heartbeat_at = now_ + config_.heartbeat_interval;
  next.term_start = log_.last_index() + 1;
  for (Index index = commit_ + 1; index <= log_.last_index(); ++index) {
    next.uncommitted_bytes += log_.At(index)->record().size();
  }
  role_ = std::move(next);
  // Thesis section 6.4: what earlier terms left is committed through an entry of this one.
  EntryPtr noop = Entry::Make(term_, log_.last_index() + 1, RecordKind::kNoop, {});
  leader()->uncommitted_bytes += noop->record().size();
  AppendEntry(std::move(noop));
  SendEntriesToAll(*leader());
}

void Core::Impl::On(const PeerGone& input) {
  if (Leader* leads = leader()) {
    const auto peer = leads->peers.find(input.peer);
    // What was on its way to it is lost.
    if (peer != leads->peers.end() && peer->second.state() == Progress::State::kReplicate) {
      peer->second.BecomeProbe();
    }
    return;
  }
  Follower* follows = follower();
  if (follows == nullptr || follows->leader != input.peer) return;
  follows->leader = NodeId(0);
  follows->election_at = now_ + rng_.Between(0, kGoneJitter);
}

}  // namespace coppice::raft
