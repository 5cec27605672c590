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

// New leaders whose commit index lags, as they lost the old one in the middle of writes.
void ManyLeaders(Plan& plan) {
  Only(plan,
       {FaultKind::kIsolate, FaultKind::kPartition, FaultKind::kOneWay, FaultKind::kPause,
        FaultKind::kReset, FaultKind::kKill},
       1500 * kMillisecond);
  plan.voters = 3 + 2 * static_cast<int>(plan.seed % 2);
  plan.operations_per_second = 150;
  plan.latency = 5 * kMillisecond;
  plan.jitter = 5 * kMillisecond;
}

// Rounds that are asked anew while the first answer is on its way.
void SlowRounds(Plan& plan) {
  Only(plan, {FaultKind::kSlowLink, FaultKind::kPause}, 700 * kMillisecond);
  plan.operations_per_second = 200;
}

// Voters that get entries which are committed already, and die while they write them.
void DyingInDisk(Plan& plan) {
  Only(plan, {FaultKind::kDieInDisk, FaultKind::kIsolate, FaultKind::kKill}, 600 * kMillisecond);
  plan.voters = 3;
  plan.learners = 0;
  plan.operations_per_second = 150;
}

// Voters that lose their power while one write waits for the sync of another.
void DyingInSync(Plan& plan) {
  Only(plan, {FaultKind::kSlowDisk, FaultKind::kPowerLoss}, 600 * kMillisecond);
  plan.threads = 3;
  plan.voters = 3;
  plan.learners = 0;
  plan.operations_per_second = 150;
}

// Processes that stand still between reading their clock and taking their input.
void Pauses(Plan& plan) {
  Only(plan, {FaultKind::kPause}, 300 * kMillisecond);
  plan.operations_per_second = 200;
}

// Answers that are lost on their way to a proxy.
void LostConnections(Plan& plan) {
  Only(plan, {FaultKind::kReset, FaultKind::kKill}, 800 * kMillisecond);
  plan.operations_per_second = 150;
  plan.latency = 20 * kMillisecond;
}

// Clients that ask one proxy for the same while its one learner answers late, and others write.
void OneLateLearner(Plan& plan) {
  Only(plan, {FaultKind::kSlowLink}, 500 * kMillisecond);
  plan.learners = 1;
  plan.learner_parents = {-1};
  plan.proxies = 1;
  plan.clients = 20;
  plan.operations_per_second = 400;
  plan.latency = 500;
  plan.jitter = 500;
}

// Watchers that do not read, in every seed.
void FullWatchers(Plan& plan) {
  Only(plan, {}, 0);
  plan.stalled_watchers = 2;
  plan.healed_for = 22 * kSecond;
  plan.latency = 200;
  plan.jitter = 100;
}

constexpr Planted kPlanted[] = {
    {.mutant = Mutant::kCountLearnerAck,
     .name = "count a Raft learner's acknowledgement",
     .by = "Leader Completeness, State Machine Safety, one entry is committed at an index",
     .arena = Arena::kCores,
     .known = 39},
    {.mutant = Mutant::kCommitOldTerm,
     .name = "commit an older term's entry by count",
     .by = "Raft: leader completeness, Raft: state machine safety, Leader Completeness, State "
           "Machine Safety, one entry is committed at an index",
     .arena = Arena::kCores,
     .known = 154},
    {.mutant = Mutant::kSkipOwnTermCheck,
     .name = "skip the own-term check of ReadIndex",
     .by = "L1, register, a read sees all acknowledged before it came",
     .known = 2,
     .bias = ManyLeaders},
    {.mutant = Mutant::kRoundBeforeReceipt,
     .name = "start the quorum round before receipt",
     .by = "L1, register, a read sees all acknowledged before it came",
     .arena = Arena::kCores,
     .known = 10},
    {.mutant = Mutant::kReuseReadId,
     .name = "reuse a ReadIndex id on retry",
     .by = "L1, B1, register",
     .known = 2,
     .bias = SlowRounds},
    {.mutant = Mutant::kServeBeforeApplied,
     .name = "serve before applied >= index",
     .by = "L1, register",
     .known = 1},
    {.mutant = Mutant::kStampAfterProbe,
     .name = "stamp `fresh_as_of` after the probe",
     .by = "B1",
     .known = 2},
    {.mutant = Mutant::kTakeRelaysStamp,
     .name = "take the relay's stamp for one's own",
     .by = "B1, L1, register",
     .known = 2},
    {.mutant = Mutant::kAckBeforeFsync,
     .name = "acknowledge before fsync",
     .by = "U3, Start",
     .known = 1},
    {.mutant = Mutant::kSyncCoversLater,
     .name = "let a sync cover what was written after it began",
     .by = "U3, Start",
     .known = 7,
     .bias = DyingInSync},
    {.mutant = Mutant::kReplyBeforeCommit,
     .name = "reply before commit",
     .by = "U3, U2, U4, U5, Raft: state machine safety",
     .known = 1},
    {.mutant = Mutant::kVoteBeforeSave,
     .name = "send a vote before saving it",
     .by = "U3, Raft: election safety, Election Safety",
     .known = 1},
    {.mutant = Mutant::kDropDirectoryFsync,
     .name = "drop a directory's fsync",
     .by = "U3, Start",
     .known = 1},
    {.mutant = Mutant::kCutDamagedLog,
     .name = "cut a damaged WAL in the middle",
     .by = "U3, Raft: leader completeness",
     .known = 7},
    {.mutant = Mutant::kResumeWatchLate,
     .name = "resume a watch one revision late",
     .by = "W4",
     .known = 1},
    {.mutant = Mutant::kResumeWatchEarly,
     .name = "resume a watch one revision early",
     .by = "W2",
     .known = 1},
    {.mutant = Mutant::kProgressAhead, .name = "progress ahead of events", .by = "W10", .known = 1},
    {.mutant = Mutant::kSplitRevision, .name = "split a revision", .by = "W3", .known = 1},
    {.mutant = Mutant::kJoinSeesPastTwice,
     .name = "let a joining watcher see its past twice",
     .by = "W12, W2",
     .known = 1},
    {.mutant = Mutant::kHalfTransaction,
     .name = "expose half a transaction",
     .by = "W3, U1, L1",
     .known = 1},
    {.mutant = Mutant::kCompactWrongBoundary,
     .name = "a compaction that keeps the wrong boundary",
     .by = "S2, U4",
     .known = 5},
    {.mutant = Mutant::kRewriteHeader,
     .name = "rewrite a unary reply's `header.revision` in the proxy",
     .by = "U1, S1",
     .known = 1},
    {.mutant = Mutant::kAdmitByEarlierClock,
     .name = "admit a bounded read by a clock read before it arrived",
     .by = "B1",
     .known = 17,
     .bias = Pauses},
    {.mutant = Mutant::kServePastBound,
     .name = "route a bounded read to a learner past its bound",
     .by = "B1",
     .known = 7},
    {.mutant = Mutant::kApplyPastDisk,
     .name = "apply past what the own disk holds",
     .by = "U3, Start",
     .known = 1,
     .bias = DyingInDisk},
    {.mutant = Mutant::kSendTwice,
     .name = "send a mutation twice after its outcome became unknown",
     .by = "once",
     .known = 1,
     .bias = LostConnections},
    {.mutant = Mutant::kAdmitByAnotherView,
     .name = "admit by one view and serve from another",
     .by = "B2, B1, L1",
     .known = 2},
    {.mutant = Mutant::kHeaderGoesBack,
     .name = "let a header on a watch stream go back",
     .by = "watch-header",
     .known = 1},
    {.mutant = Mutant::kJoinSentRead,
     .name = "share the answer to a read that was sent before",
     .by = "L1, register",
     .known = 57,
     .bias = OneLateLearner},
    {.mutant = Mutant::kWaitForSlowest,
     .name = "let a full watcher hold back the others",
     .by = "W13",
     .known = 1,
     .bias = FullWatchers},
    {.mutant = Mutant::kListenToAmnesiac,
     .name = "listen to a voter that lost its disk",
     .by = "Amnesia",
     .known = 10},
    {.mutant = Mutant::kForgetCompaction,
     .name = "open a watch without what its admission knew to be compacted",
     .by = "W9",
     .known = 92},
};
static_assert(std::size(kPlanted) == static_cast<std::size_t>(Mutant::kEnd));

}  // namespace

std::span<const Planted> AllPlanted() {
  return kPlanted;
}

}  // namespace coppice::sim
