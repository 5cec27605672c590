#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/api/errors.h"
#include "common/api/limits.h"
#include "common/api/parse.h"
#include "etcd/rpc.pb.h"
#include "loadgen/sim/checks/checks.h"
#include "loadgen/sim/checks/show.h"

namespace coppice::sim {
namespace {

using api::EtcdError;
using loadgen::Oracle;

// After this much health a request with a fair deadline has to be answered.
constexpr Micros kFairTimeout = 3 * kSecond;

class OpChecker {
 public:
  OpChecker(const Evidence& evidence, Findings& findings)
      : evidence_(evidence), oracle_(evidence.oracle), findings_(findings) {}

  void Check(const OpRecord& op) {
    CheckLive(op);
    if (op.outcome == Outcome::kPending) return;
    if (op.mutation) {
      op.kind == OpKind::kCompact ? CheckCompaction(op) : CheckMutation(op);
    } else if (op.outcome == Outcome::kOk) {
      CheckAnswer(op);
    } else if (op.outcome == Outcome::kRefused) {
      CheckRefusal(op);
    }
  }

 private:
  void Fail(std::string_view property, const OpRecord& op, const std::string& why) {
    findings_.Add(property, op.end, why + "\n  " + Describe(op));
  }
  void CheckLive(const OpRecord& op);

  // Mutations.
  void CheckMutation(const OpRecord& op);
  void CheckDone(const OpRecord& op, const Oracle::Mutation& done);
  void CheckCompaction(const OpRecord& op);
  void CheckWriteOrder(const OpRecord& op, bool changed);

  // Reads.
  void CheckAnswer(const OpRecord& op);
  bool CheckRevision(const OpRecord& op);
  void CheckAge(const OpRecord& op, Micros age, std::string_view what);
  void CheckRange(const OpRecord& op);
  void CheckReadTxn(const OpRecord& op);
  void CheckHash(const OpRecord& op);
  void CheckRefusal(const OpRecord& op);
  void CheckTooNew(const OpRecord& op, Revision asked);

  static std::string_view StateProperty(const OpRecord& op) {
    return op.consistency.mode == ReadMode::kSerializable ? "S1" : "U1";
  }
  static Revision AskedRevision(const OpRecord& op) {
    api::ParsedRange parsed;
    if (op.kind != OpKind::kRange || !api::ParseRange(op.request, parsed).ok()) return 0;
    return parsed.op.revision;
  }

  const Evidence& evidence_;
  const Oracle& oracle_;
  Findings& findings_;
};

// A connection of which nothing was heard since before the healing may have been dead all that
// time; its client learns of that when it uses it.
void OpChecker::CheckLive(const OpRecord& op) {
  const bool unanswered = op.outcome == Outcome::kUnknown || op.outcome == Outcome::kPending;
  const Time healed = evidence_.history.healed_at;
  if (!unanswered || healed == 0 || op.invoke < healed + kHealthyAfter) return;
  if (op.timeout != 0 && op.timeout < kFairTimeout) return;
  if (op.given_up || (op.heard_at != 0 && op.heard_at < healed)) return;
  Fail("live", op, "not answered, long after the faults ended");
}

// --- Mutations.

void OpChecker::CheckMutation(const OpRecord& op) {
  const auto& places = oracle_.Tagged(op.tag);
  if (places.size() > 1) {
    Fail("once", op,
         fmt::format("it is in the log {} times, first at revision {}", places.size(),
                     oracle_.mutations()[places[0]].after));
  }
  const Oracle::Mutation* done = places.empty() ? nullptr : &oracle_.mutations()[places[0]];
  if (op.outcome == Outcome::kOk) {
    if (done == nullptr) return Fail("U2", op, "acknowledged, and not in the final log");
    CheckDone(op, *done);
  } else if (op.outcome == Outcome::kRefused && done != nullptr) {
    if (done->result.error != mvcc::Error::kNone) return;
    Fail("U2", op, fmt::format("refused, but done at revision {}", done->after));
  }
}

template <typename Response>
std::string ShowAs(std::string_view bytes) {
  Response response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return "malformed";
  return Show(response);
}

std::string ShowResponse(const OpRecord& op) {
  if (op.kind == OpKind::kPut) return ShowAs<etcdserverpb::PutResponse>(op.response);
  if (op.kind == OpKind::kDelete) return ShowAs<etcdserverpb::DeleteRangeResponse>(op.response);
  return ShowAs<etcdserverpb::TxnResponse>(op.response);
}

void OpChecker::CheckDone(const OpRecord& op, const Oracle::Mutation& done) {
  if (done.result.error != mvcc::Error::kNone) {
    return Fail("U1", op, "acknowledged, though the log's state refuses it");
  }
  if (op.revision != done.after) {
    return Fail("U1", op, fmt::format("its revision is {}", done.after));
  }
  const std::string expected = Show(done.result);
  const std::string shown = ShowResponse(op);
  if (shown != expected) {
    Fail("U1", op,
         fmt::format("the result is\n    {}\n  but it was told\n    {}", expected, shown));
  }
  CheckWriteOrder(op, done.changed());
}

void OpChecker::CheckWriteOrder(const OpRecord& op, bool changed) {
  const auto before = evidence_.acks.Before(op.invoke);
  if (op.revision < before.revision + (changed ? 1 : 0)) {
    Fail("L2", op,
         fmt::format("revision {} was seen before it was sent, by {}\n  of", before.revision,
                     Describe(before.source)));
  }
  if (op.in_session && op.revision < op.consistency.min_revision + (changed ? 1 : 0)) {
    Fail("writes-follow-reads", op, "its client had seen its session revision before");
  }
}

void OpChecker::CheckCompaction(const OpRecord& op) {
  if (op.outcome != Outcome::kOk) return;
  etcdserverpb::CompactionRequest request;
  request.ParseFromString(op.request);
  const auto& all = oracle_.compactions();
  const bool there = std::any_of(all.begin(), all.end(), [&request](const auto& compaction) {
    return compaction.revision == request.revision();
  });
  if (!there) {
    return Fail("U2", op, fmt::format("no compaction at {} in the final log", request.revision()));
  }
  CheckWriteOrder(op, /*changed=*/false);
}

// --- Reads.

void OpChecker::CheckAnswer(const OpRecord& op) {
  if (op.other_cluster) return Fail("B3", op, "answered, though it names another cluster");
  if (op.kind == OpKind::kMemberList) return;  // no revision, as in etcd
  if (!CheckRevision(op)) return;
  if (op.kind == OpKind::kRange) CheckRange(op);
  if (op.kind == OpKind::kTxn) CheckReadTxn(op);
  if (op.kind == OpKind::kHashKv) CheckHash(op);
}

// False: the revision is not in the log, so that nothing can be compared.
bool OpChecker::CheckRevision(const OpRecord& op) {
  if (op.revision <= 0 || op.revision > oracle_.revision()) {
    Fail("U5", op, fmt::format("the final log ends at revision {}", oracle_.revision()));
    return false;
  }
  const bool linearizable =
      op.kind == OpKind::kAlarm || ((op.kind == OpKind::kRange || op.kind == OpKind::kTxn) &&
                                    op.consistency.mode == ReadMode::kLinearizable);
  if (linearizable) {
    const auto before = evidence_.acks.Before(op.invoke);
    if (op.revision < before.revision) {
      Fail("L1", op,
           fmt::format("revision {} was seen before it was sent, by {}\n  of", before.revision,
                       Describe(before.source)));
    }
  }
  if (op.consistency.mode == ReadMode::kBounded && op.consistency.max_staleness) {
    CheckAge(op, *op.consistency.max_staleness, "its bound");
  }
  if (op.staleness >= 0) CheckAge(op, op.staleness, "what its trailer says");
  if (op.revision < op.consistency.min_revision) {
    Fail("B2", op, "below the minimum revision");
    if (op.in_session) Fail(op.own_write ? "read-your-writes" : "monotonic-reads", op, "");
  }
  return true;
}

void OpChecker::CheckAge(const OpRecord& op, Micros age, std::string_view what) {
  const Micros age_max = evidence_.TrueMax(age);
  const auto before = evidence_.acks.Before(op.invoke - age_max);
  if (op.revision >= before.revision) return;
  Fail("B1", op,
       fmt::format("older than {}: {} us before it was sent, revision {} had been seen, "
                   "by {}\n  of",
                   what, age_max, before.revision, Describe(before.source)));
}

void OpChecker::CheckRange(const OpRecord& op) {
  api::ParsedRange parsed;
  etcdserverpb::RangeResponse response;
  if (!api::ParseRange(op.request, parsed).ok() || !response.ParseFromString(op.response)) {
    return Fail("U1", op, "the response cannot be read");
  }
  const Revision asked = parsed.op.revision;
  const std::string_view property = asked > 0 ? "S2" : StateProperty(op);
  if (asked > op.revision) {
    return Fail("S2", op, fmt::format("revision {} was asked for", asked));
  }
  const std::string expected = Show(oracle_.model().RangeAt(parsed.op, op.revision));
  const std::string shown = Show(response);
  if (shown != expected) {
    Fail(property, op,
         fmt::format("the state at revision {} is\n    {}\n  but it was told\n    {}",
                     asked > 0 ? asked : op.revision, expected, shown));
  }
  const auto compacted = evidence_.compactions.Before(op.invoke);
  if (asked > 0 && asked < compacted.revision && op.consistency.mode == ReadMode::kLinearizable) {
    Fail("S2", op,
         fmt::format("revision {} was compacted before it was sent, by {}\n  of", asked,
                     Describe(compacted.source)));
  }
}

void OpChecker::CheckReadTxn(const OpRecord& op) {
  mvcc::TxnOp txn;
  etcdserverpb::TxnResponse response;
  if (!api::ParseTxn(op.request, api::Limits(), txn).ok() ||
      !response.ParseFromString(op.response)) {
    return Fail("U1", op, "the response cannot be read");
  }
  const std::string expected = Show(oracle_.model().ReadTxnAt(txn, op.revision));
  const std::string shown = Show(response);
  if (shown == expected) return;
  Fail(StateProperty(op), op,
       fmt::format("in the state at revision {} it is\n    {}\n  but it was told\n    {}",
                   op.revision, expected, shown));
}

void OpChecker::CheckHash(const OpRecord& op) {
  etcdserverpb::HashKVResponse response;
  if (!response.ParseFromString(op.response)) return Fail("U4", op, "the response cannot be read");
  const Revision revision = response.hash_revision();
  if (revision > op.revision) return Fail("U4", op, "of a revision above the header's");
  const std::uint32_t expected = oracle_.Hash(revision);
  if (response.hash() == expected) return;
  Fail("U4", op,
       fmt::format("the hash at revision {} is {:x}, but it was told {:x}", revision, expected,
                   response.hash()));
}

// An error has to be true as well.
void OpChecker::CheckRefusal(const OpRecord& op) {
  const Revision asked = AskedRevision(op);
  if (op.status == api::ToStatus(EtcdError::kFutureRev)) return CheckTooNew(op, asked);
  if (op.status == api::ToStatus(EtcdError::kCompacted)) {
    if (op.kind == OpKind::kHashKv || asked < oracle_.compact_revision()) {
      if (asked > 0 || op.kind == OpKind::kHashKv) return;
    }
    return Fail("S2", op, "refused as compacted, though it is not");
  }
  const StatusCode code = op.status.code();
  if (code == StatusCode::kResourceExhausted) return;
  if (op.other_cluster && code == StatusCode::kFailedPrecondition) return;
  Fail("B3", op, "an error that nothing explains");
}

void OpChecker::CheckTooNew(const OpRecord& op, Revision asked) {
  if (op.kind == OpKind::kHashKv) return;  // of that node's own state
  // Serializable ones are told at once that the node does not have it.
  if (op.consistency.mode == ReadMode::kSerializable && asked > op.consistency.min_revision) return;
  const Revision wanted = std::max(asked, op.consistency.min_revision);
  const auto before = evidence_.acks.Before(op.invoke);
  if (wanted > before.revision) return;
  Fail("B3", op,
       fmt::format("refused as a future revision, though {} had been seen, by {}\n  of",
                   before.revision, Describe(before.source)));
}

}  // namespace

void CheckOps(const Evidence& evidence, Findings& findings) {
  OpChecker checker(evidence, findings);
  for (const auto& op : evidence.history.ops) checker.Check(*op);
}

}  // namespace coppice::sim
