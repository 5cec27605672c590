#include "loadgen/sim/mutants.h"

#include <iterator>

namespace coppice::sim {
namespace {

constexpr Planted kPlanted[] = {
    {Mutant::kCountLearnerAck, "count a Raft learner's acknowledgement", Arena::kCores},
    {Mutant::kCommitOldTerm, "commit an older term's entry by count"},
    {Mutant::kSkipOwnTermCheck, "skip the own-term check of ReadIndex"},
    {Mutant::kRoundBeforeReceipt, "start the quorum round before receipt"},
    {Mutant::kReuseReadId, "reuse a ReadIndex id on retry"},
    {Mutant::kServeBeforeApplied, "serve before applied >= index"},
    {Mutant::kStampAfterProbe, "stamp `fresh_as_of` after the probe"},
    {Mutant::kTakeRelaysStamp, "take the relay's stamp for one's own"},
    {Mutant::kAckBeforeFsync, "acknowledge before fsync"},
    {Mutant::kReplyBeforeCommit, "reply before commit"},
    {Mutant::kVoteBeforeSave, "send a vote before saving it"},
    {Mutant::kDropDirectoryFsync, "drop a directory's fsync"},
    {Mutant::kCutDamagedLog, "cut a damaged WAL in the middle"},
    {Mutant::kResumeWatchLate, "resume a watch one revision late"},
    {Mutant::kResumeWatchEarly, "resume a watch one revision early"},
    {Mutant::kProgressAhead, "progress ahead of events"},
    {Mutant::kSplitRevision, "split a revision"},
    {Mutant::kJoinSeesPastTwice, "let a joining watcher see its past twice"},
    {Mutant::kHalfTransaction, "expose half a transaction"},
    {Mutant::kCompactWrongBoundary, "a compaction that keeps the wrong boundary"},
    {Mutant::kRewriteHeader, "rewrite a unary reply's `header.revision` in the proxy"},
    {Mutant::kAdmitByEarlierClock, "admit a bounded read by a clock read before it arrived"},
    {Mutant::kServePastBound, "route a bounded read to a learner past its bound"},
    {Mutant::kApplyPastDisk, "apply past what the own disk holds"},
    {Mutant::kSendTwice, "send a mutation twice after its outcome became unknown"},
    {Mutant::kAdmitByAnotherView, "admit by one view and serve from another"},
    {Mutant::kHeaderGoesBack, "let a header on a watch stream go back"},
};
static_assert(std::size(kPlanted) == static_cast<std::size_t>(Mutant::kEnd));

}  // namespace

std::span<const Planted> AllPlanted() {
  return kPlanted;
}

}  // namespace coppice::sim
