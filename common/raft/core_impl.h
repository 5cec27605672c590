#pragma once

#include <deque>
#include <utility>

#include "common/raft/core.h"
#include "common/raft/invariants.h"
#include "common/raft/log.h"
#include "common/raft/quorum.h"
#include "common/raft/roles.h"

namespace coppice::raft {

// The rules, split over files by what they are about: election.cc (who leads), leader.cc
// (replication and commit), follower.cc (appends and snapshots received), reads.cc (ReadIndex),
// membership.cc (configurations, transfer), core.cc (the rest).
//
// `now_` and `out_` are those of the step that is running.
class Core::Impl {
 public:
  Impl(const Config& config, const BootState& boot, Rng rng, Time now);

  void Step(Time now, Input input, Output& out);
  Time NextDeadline() const;
  Status status() const;
  HardState hard_state() const { return {term_, vote_, commit_}; }
  const Log& log() const { return log_; }
  Index commit() const { return commit_; }
  bool WantsSnapshot(Index index, Term term) const;

 private:
  // --- core.cc: inputs.
  void On(const Timer&);
  void On(Received& input);
  void On(Propose& input);
  void On(const ReadIndexRequest& input);
  void On(const Appended& input);
  void On(const Applied& input);
  void On(EntriesRead& input);
  void On(const PeerGone& input);
  void On(const TransferLeadership& input);
  void On(const ResignLeadership&);
  void On(const ChangeConfig& input);
  void On(SnapshotSaved& input);
  void On(const SnapshotFailed&);
  void On(const LogCompacted& input);

  // Moves to the message's term if it is newer. False: the message must not be handled.
  bool EnterTermOf(NodeId from, const Message& message);
  // Answers with our term, where that helps the sender.
  bool RefuseOldTerm(NodeId from, const Message& message);
  void On(NodeId from, const PreVoteRequest& m);
  void On(NodeId from, const PreVoteReply& m);
  void On(NodeId from, const VoteRequest& m);
  void On(NodeId from, const VoteReply& m);
  void On(NodeId from, Append& m);
  void On(NodeId from, const AppendReply& m);
  void On(NodeId from, const TimeoutNow& m);
  void On(NodeId from, const InstallSnapshot& m);
  void On(NodeId from, const SnapshotReply& m);

  void SendNow(NodeId to, Message message);
  void SendAfterDurable(NodeId to, Message message);
  void SaveHardState();
  // Adds to the log and to the WAL's next write.
  void AppendEntry(EntryPtr entry);
  // Gives out what is committed, durable here, and was not given out before.
  void HandOut();
  void CheckInvariants();

  Leader* leader() { return std::get_if<Leader>(&role_); }
  Follower* follower() { return std::get_if<Follower>(&role_); }
  NodeId LeaderId() const;

  // --- election.cc
  void BecomeFollower(Term term, NodeId leader);
  void BecomePreCandidate();
  void BecomeCandidate(bool transfer);
  void BecomeLeader();
  // Also who is removed by a configuration that is not committed yet (thesis section 4.2.2): the
  // majority of the old one may need its log.
  bool CanCampaign() const;
  bool HearsLeader() const;
  Time DrawElectionTime();
  Time DrawRetryTime();  // sooner: nobody leads, and only campaigns have to be kept apart
  const Time* ElectionTime() const;  // null for a leader
  void CountPreVotes();
  void CountElectionVotes();

  // --- leader.cc
  void LeaderTimer(Leader& leader);
  Time LeaderDeadline(const Leader& leader) const;
  Time QuorumContact(const Leader& leader) const;
  void SendEntriesToAll(Leader& leader);
  void SendEntries(Leader& leader, NodeId to, Progress& peer);
  void SendOneAppend(Leader& leader, NodeId to, Progress& peer, std::vector<EntryPtr> entries);
  // An append without entries: a heartbeat, a read probe, a commit index.
  void SendEmpty(Leader& leader, NodeId to, Progress& peer);
  void SendSnapshot(NodeId to, Progress& peer);
  // An append to `to` that is in this Output already and has not left; null if none.
  Append* UnsentAppend(NodeId to);
  void Stamp(const Leader& leader, Progress& peer, Append& append);
  void AdvanceLeaderCommit(Leader& leader);
  void TellCommit(Leader& leader, bool at_once);
  void AcceptProposal(Leader& leader, const Proposal& proposal);
  void Answer(std::uint64_t token, std::variant<Accepted, NotLeader, Busy> outcome);

  // --- follower.cc
  void HandleAppend(Follower& follower, Append& m);
  void Acknowledge(Follower& follower, Index match);
  void RefuseAppend(Follower& follower, const Append& m);
  // Takes over what is new. False: it must wait for writes that are not finished.
  bool TakeEntries(const Append& m);
  void AdvanceFollowerCommit(Index leader_commit);
  void LogDurable(Follower& follower);

  // --- reads.cc
  void ProbeQuorum(Leader& leader);
  void ProbeRest(Leader& leader);
  void ConfirmReads(Leader& leader);
  void ReleaseHeldReads(Leader& leader);

  // --- membership.cc
  const Configuration& configuration() const { return configurations_.back().second; }
  void ConfigurationAppended(const Entry& entry);
  void ConfigurationsTruncated(Index first);
  void ConfigurationChanged();
  void ConfigurationCommitted(Leader& leader);
  void StartTransfer(Leader& leader, NodeId to);
  void ContinueTransfer(Leader& leader, NodeId from, const Progress& peer);

  const Config config_;
  Rng rng_;
  Term term_;
  NodeId vote_;
  Log log_;
  Index commit_;
  Index durable_;  // our own log is on disk up to here
  Index handed_;   // given out to apply up to here
  Index applied_;
  // (index of the entry, configuration): the one in force is the last, committed or not (thesis
  // section 4.1); older ones stay until the next is committed, in case the entry is overwritten.
  std::deque<std::pair<Index, Configuration>> configurations_;
  RoleState role_;
  Invariants invariants_;

  Time now_;
  Output* out_ = nullptr;
};

}  // namespace coppice::raft
