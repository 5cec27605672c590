// What a follower does with its leader's messages (thesis sections 3.5, 3.8, 5.1).

#include <algorithm>

#include "common/base/check.h"
#include "common/raft/core_impl.h"

namespace coppice::raft {

void Core::Impl::On(NodeId from, Append& m) {
  COPPICE_CHECK(leader() == nullptr, "one leader a term");
  if (follower() == nullptr || follower()->leader == NodeId(0)) BecomeFollower(term_, from);
  Follower& follows = *follower();
  COPPICE_CHECK(follows.leader == from, "one leader a term");
  follows.heard = now_;
  follows.election_at = DrawElectionTime();
  follows.round = std::max(follows.round, m.round);
  HandleAppend(follows, m);
}

void Core::Impl::HandleAppend(Follower& follows, Append& m) {
  if (m.prev_index < commit_) {
    // Thesis section 3.6.3: the leader has all that is committed, so up to there the logs agree,
    // though we may no longer know those terms.
    const std::size_t known = std::min<std::size_t>(commit_ - m.prev_index, m.entries.size());
    m.entries.erase(m.entries.begin(), m.entries.begin() + static_cast<std::ptrdiff_t>(known));
    m.prev_index = commit_;
    m.prev_term = log_.TermAt(commit_);
  }
  if (!log_.Matches(m.prev_index, m.prev_term)) {
    RefuseAppend(follows, m);
    return;
  }
  if (!TakeEntries(m)) {
    follows.deferred = std::move(m);
    return;
  }
  const Index match = m.prev_index + m.entries.size();
  follows.verified = std::max(follows.verified, match);
  AdvanceFollowerCommit(std::min(m.commit, match));
  Acknowledge(follows, match);
}

bool Core::Impl::TakeEntries(const Append& m) {
  const auto fresh = std::find_if(m.entries.begin(), m.entries.end(), [this](const EntryPtr& e) {
    return !log_.Matches(e->index(), e->term());
  });
  if (fresh == m.entries.end()) return true;
  const Index first = (*fresh)->index();
  if (first <= log_.last_index()) {
    // Thesis section 3.5: an entry that conflicts, and all after it, give way to the leader's.
    COPPICE_CHECK(first > commit_, "committed entries never change");
    // The same (term, index) could come back later: were two writes of it under way, the end of
    // the first could be taken for the end of the second.
    if (durable_ < log_.last_index()) return false;
    log_.TruncateFrom(first);
    ConfigurationsTruncated(first);
    durable_ = std::min(durable_, first - 1);
  }
  for (auto entry = fresh; entry != m.entries.end(); ++entry) AppendEntry(*entry);
  return true;
}

void Core::Impl::AdvanceFollowerCommit(Index commit) {
  if (commit <= commit_) return;
  commit_ = commit;
  while (configurations_.size() > 1 && configurations_[1].first <= commit_) {
    configurations_.pop_front();
  }
}

void Core::Impl::Acknowledge(Follower& follows, Index match) {
  // With a write in this Output the answer leaves after all that was written up to now; otherwise
  // only what is on disk already counts, and LogDurable sends the rest.
  const bool writes = out_->needs_sync();
  if (!writes) match = std::min(match, durable_);
  // A commit index alone needs no answer, unless the last one is so old that it may be lost.
  const bool news = match > follows.acked || follows.round > follows.acked_round;
  if (!news && follows.acked_at && now_ < *follows.acked_at + config_.heartbeat_interval / 2) {
    return;
  }
  follows.acked = std::max(follows.acked, match);
  follows.acked_round = follows.round;
  follows.acked_at = now_;
  AppendReply reply;
  reply.term = term_;
  reply.ok = true;
  reply.match = match;
  reply.round = follows.round;
  if (writes) {
    SendAfterDurable(follows.leader, reply);
  } else {
    SendNow(follows.leader, reply);
  }
}

void Core::Impl::RefuseAppend(Follower& follows, const Append& m) {
  AppendReply reply;
  reply.term = term_;
  reply.prev_index = m.prev_index;
  reply.hint_index = log_.LastNotAbove(m.prev_index, m.prev_term);
  reply.hint_term = log_.TermAt(reply.hint_index);
  reply.round = follows.round;
  follows.acked_round = follows.round;
  SendNow(follows.leader, reply);
}

void Core::Impl::LogDurable(Follower& follows) {
  if (follows.leader == NodeId(0)) return;
  if (follows.deferred && durable_ == log_.last_index()) {
    Append append = std::move(*follows.deferred);
    follows.deferred.reset();
    HandleAppend(follows, append);
    return;
  }
  const Index match = std::min(follows.verified, durable_);
  if (match > follows.acked) Acknowledge(follows, match);
}

void Core::Impl::On(NodeId from, const InstallSnapshot& m) {
  if (follower() == nullptr || follower()->leader == NodeId(0)) BecomeFollower(term_, from);
  Follower& follows = *follower();
  follows.heard = now_;
  follows.election_at = DrawElectionTime();
  if (m.index <= commit_) {
    // Nothing is missing; what we acknowledged must not be thrown away for a snapshot.
    SendNow(from, SnapshotReply{term_, std::min(commit_, durable_), true});
  } else if (log_.Matches(m.index, m.index_term)) {
    AdvanceFollowerCommit(m.index);
    SendNow(from, SnapshotReply{term_, std::min(m.index, durable_), true});
  } else {
    out_->fetch_snapshot = FetchSnapshot{from, m.index};
  }
}

bool Core::Impl::WantsSnapshot(Index index, Term term) const {
  // Where the logs agree at `index`, what follows may have been acknowledged.
  return index > commit_ && !log_.Matches(index, term);
}

void Core::Impl::On(SnapshotSaved& input) {
  COPPICE_CHECK(leader() == nullptr, "a leader has all that is committed");
  COPPICE_CHECK(WantsSnapshot(input.index, input.term));
  log_.Restart(input.index, input.term);
  commit_ = durable_ = handed_ = applied_ = input.index;
  configurations_.clear();
  configurations_.emplace_back(input.index, std::move(input.configuration));
  Follower* follows = follower();
  if (follows == nullptr || follows->leader == NodeId(0)) return;
  follows->deferred.reset();
  SendNow(follows->leader, SnapshotReply{term_, input.index, true});
}

void Core::Impl::On(const SnapshotFailed&) {
  if (Follower* follows = follower(); follows != nullptr && follows->leader != NodeId(0)) {
    SendNow(follows->leader, SnapshotReply{term_, Index(0), false});
  }
}

}  // namespace coppice::raft
