#pragma once

#include <cstdint>
#ifdef COPPICE_MUTANTS
#include <optional>
#endif

namespace coppice {

// Switches that each break one rule, at the place where the rule is kept. They show that the
// simulator's checkers would find such a mistake (docs/correctness.md, Mutants). Each is false at
// compile time but in coppice-sim-mutants, for which the sources that hold switches are compiled
// once more, with COPPICE_MUTANTS. A header holds none: inline code would differ between sources.
enum class Mutant : std::uint8_t {
  kCountLearnerAck,       // a Raft learner's acknowledgement counts for commit
  kCommitOldTerm,         // an older term's entry is committed by counting
  kSkipOwnTermCheck,      // reads are confirmed before an entry of the leader's term is committed
  kRoundBeforeReceipt,    // a read is confirmed by a round that began before it came
  kReuseReadId,           // a retried round keeps its id
  kServeBeforeApplied,    // a batch of reads is served before its index is applied
  kStampAfterProbe,       // freshness counts from the answer, not from the question
  kTakeRelaysStamp,       // a relay answers its children's rounds from its own freshness
  kAckBeforeFsync,        // the log is acknowledged before it is synced
  kSyncCoversLater,       // a sync counts for what was to be written after it began
  kReplyBeforeCommit,     // what is durable here is applied, committed or not
  kVoteBeforeSave,        // a vote leaves before it is saved
  kDropDirectoryFsync,    // a new log segment's name is not synced
  kCutDamagedLog,         // damage in the middle of the log is taken for a torn tail
  kResumeWatchLate,       // a lost subscription goes on one revision late
  kResumeWatchEarly,      // ...and one early
  kProgressAhead,         // progress is reported ahead of events
  kSplitRevision,         // a revision's events are delivered one by one
  kJoinSeesPastTwice,     // a watch that joins a subscription gets all that it remembers
  kHalfTransaction,       // a large transaction becomes two revisions
  kCompactWrongBoundary,  // a compaction keeps the versions of one revision later
  kRewriteHeader,         // a proxy raises the header's revision to what it has seen
  kAdmitByEarlierClock,   // a bounded read is admitted by a clock read before it arrived
  kServePastBound,        // a bounded read is routed to, and served by, who misses the bound
  kApplyPastDisk,         // entries are applied that are not in this node's own log
  kSendTwice,             // a mutation whose outcome is unknown is sent again
  kAdmitByAnotherView,    // a read is admitted by a newer view than it is served from
  kHeaderGoesBack,        // a watch stream's header follows each watch's own revision
  kJoinSentRead,          // a read shares the answer to one that was sent before it came
  kWaitForSlowest,        // events wait for a watcher that is full, for all of its range
  kListenToAmnesiac,      // a voter that lost its disk is listened to like a new one
  kForgetCompaction,      // a proxy opens a watch without what its admission knew to be compacted
  kEnd,
};

#ifdef COPPICE_MUTANTS
// Of this thread's simulation.
inline thread_local std::optional<Mutant> t_active_mutant;
#define COPPICE_MUTANT(name) (::coppice::t_active_mutant == ::coppice::Mutant::name)
#else
#define COPPICE_MUTANT(name) false
#endif

}  // namespace coppice
