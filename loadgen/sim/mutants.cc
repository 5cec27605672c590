#include "loadgen/sim/mutants.h"

#include <initializer_list>
#include <iterator>

namespace coppice::sim {
namespace {

// These faults alone, so often.
void Only(Plan& plan, std::initializer_list<FaultKind> kinds, Micros interval) {
  plan.faults = {};
  for (const FaultKind kind : kinds) {
    plan.faults[static_cast<std::size_t>(kind)] = true;
    plan.intervals[static_cast<std::size_t>(kind)] = interval;
  }
}

// Leaders that are cut off while clients still ask them.
void Leaders(Plan& plan) {
  Only(plan,
       {FaultKind::kIsolate, FaultKind::kPartition, FaultKind::kOneWay, FaultKind::kPause,
        FaultKind::kReset, FaultKind::kKill},
       1500 * kMillisecond);
  plan.voters = 3 + 2 * static_cast<int>(plan.seed % 2);
  plan.operations_per_second = 150;
  plan.latency = 5 * kMillisecond;
  plan.jitter = 5 * kMillisecond;
}

// Voters that get entries which are committed already, and die while they write them.
void DyingInDisk(Plan& plan) {
  Only(plan, {FaultKind::kDieInDisk, FaultKind::kIsolate, FaultKind::kKill}, 600 * kMillisecond);
  plan.voters = 3;
  plan.learners = 0;
  plan.operations_per_second = 150;
}

// Processes that stand still between reading their clock and taking their input.
void Pauses(Plan& plan) {
  Only(plan, {FaultKind::kPause}, 300 * kMillisecond);
  plan.operations_per_second = 200;
}

void LostConnections(Plan& plan) {
  Only(plan, {FaultKind::kReset, FaultKind::kKill}, 800 * kMillisecond);
  plan.operations_per_second = 150;
  plan.latency = 20 * kMillisecond;
}

constexpr Planted kPlanted[] = {
    {Mutant::kCountLearnerAck, "count a Raft learner's acknowledgement",
     "Leader Completeness, State Machine Safety, one entry is committed at an index",
     Arena::kCores},
    {Mutant::kCommitOldTerm, "commit an older term's entry by count",
     "Raft: leader completeness, Raft: state machine safety, Leader Completeness, State Machine "
     "Safety, one entry is committed at an index",
     Arena::kCores},
    {Mutant::kSkipOwnTermCheck, "skip the own-term check of ReadIndex",
     "L1, register, a read sees all acknowledged before it came", Arena::kCluster, 0, Leaders},
    {Mutant::kRoundBeforeReceipt, "start the quorum round before receipt",
     "L1, register, a read sees all acknowledged before it came", Arena::kCluster, 0, Leaders},
    {Mutant::kReuseReadId, "reuse a ReadIndex id on retry", "L1, B1, register", Arena::kCluster, 0,
     Leaders},
    {Mutant::kServeBeforeApplied, "serve before applied >= index", "L1, register"},
    {Mutant::kStampAfterProbe, "stamp `fresh_as_of` after the probe", "B1"},
    {Mutant::kTakeRelaysStamp, "take the relay's stamp for one's own", "B1, L1, register"},
    {Mutant::kAckBeforeFsync, "acknowledge before fsync", "U3, Start"},
    {Mutant::kReplyBeforeCommit, "reply before commit",
     "U3, U2, U4, U5, Raft: state machine safety"},
    {Mutant::kVoteBeforeSave, "send a vote before saving it",
     "U3, Raft: election safety, Election Safety"},
    {Mutant::kDropDirectoryFsync, "drop a directory's fsync", "U3, Start"},
    {Mutant::kCutDamagedLog, "cut a damaged WAL in the middle", "U3, Raft: leader completeness"},
    {Mutant::kResumeWatchLate, "resume a watch one revision late", "W4"},
    {Mutant::kResumeWatchEarly, "resume a watch one revision early", "W2"},
    {Mutant::kProgressAhead, "progress ahead of events", "W10"},
    {Mutant::kSplitRevision, "split a revision", "W3"},
    {Mutant::kJoinSeesPastTwice, "let a joining watcher see its past twice", "W12, W2"},
    {Mutant::kHalfTransaction, "expose half a transaction", "W3, U1, L1"},
    {Mutant::kCompactWrongBoundary, "a compaction that keeps the wrong boundary", "S2, U4"},
    {Mutant::kRewriteHeader, "rewrite a unary reply's `header.revision` in the proxy", "U1, S1"},
    {Mutant::kAdmitByEarlierClock, "admit a bounded read by a clock read before it arrived", "B1",
     Arena::kCluster, 0, Pauses},
    {Mutant::kServePastBound, "route a bounded read to a learner past its bound", "B1"},
    {Mutant::kApplyPastDisk, "apply past what the own disk holds", "U3, Start", Arena::kCluster, 0,
     DyingInDisk},
    {Mutant::kSendTwice, "send a mutation twice after its outcome became unknown", "once",
     Arena::kCluster, 0, LostConnections},
    {Mutant::kAdmitByAnotherView, "admit by one view and serve from another", "B2, B1, L1"},
    {Mutant::kHeaderGoesBack, "let a header on a watch stream go back", "watch-header"},
};
static_assert(std::size(kPlanted) == static_cast<std::size_t>(Mutant::kEnd));

}  // namespace

std::span<const Planted> AllPlanted() {
  return kPlanted;
}

}  // namespace coppice::sim
