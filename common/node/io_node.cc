#include "common/node/io_node.h"

#include <algorithm>
#include <utility>

#include "common/api/encode.h"
#include "common/api/errors.h"
#include "common/api/parse.h"
#include "common/base/entry.h"
#include "common/base/mutant.h"

namespace coppice::node {
namespace {

constexpr std::uint8_t kHopsMax = 4;
constexpr Micros kParkedRetry = 100 * kMillisecond;
constexpr Micros kRoundTimeout = 7 * kSecond;  // as etcd's of a request without a deadline

bool HasNoSpace(const Facts& facts) {
  return std::any_of(facts.alarms.begin(), facts.alarms.end(),
                     [](const auto& alarm) { return alarm.second == mvcc::AlarmType::kNoSpace; });
}

api::ResponseHeader HeaderOf(const Facts& facts, Revision revision, Term term) {
  return {facts.cluster_id, facts.node, revision, term};
}

}  // namespace

IoNode::IoNode(io::Loop& loop, const Options& options, mvcc::Store& store, CorePort& core,
               Forwarder& forwarder)
    : loop_(loop),
      options_(options),
      store_(store),
      core_(core),
      forwarder_(forwarder),
      reads_(options.index, store, core, options.cluster_id) {
  reads_.SetFacts(facts_);
}

IoNode::~IoNode() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

void IoNode::Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  if (request.consistency.require_leader && !facts_->confirmed) {
    return replier->Fail(api::ToStatus(api::EtcdError::kNoLeader));
  }
  loop_.Wake(*this, io::Loop::Phase::kCore);
  switch (request.method) {
    case api::Method::kRange:
      return ServeRange(request, std::move(replier));
    case api::Method::kTxn:
      return ServeTxn(request, std::move(replier));
    case api::Method::kPut:
    case api::Method::kDeleteRange:
    case api::Method::kCompact:
      return ServeWrite(request, std::move(replier));
    case api::Method::kMemberList:
      return ServeMemberList(request, std::move(replier));
    case api::Method::kStatus:
      return ServeStatus(request, std::move(replier));
    case api::Method::kHashKv:
      return ServeHashKv(request, std::move(replier));
    case api::Method::kAlarm:
      return ServeAlarm(request, std::move(replier));
    case api::Method::kDefragment:
      defragments_.push_back(std::move(replier));
      return core_.Defragment();
    case api::Method::kMoveLeader:
      return ServeMoveLeader(request, std::move(replier));
    case api::Method::kClusterStatus:
      if (cluster_status_) return cluster_status_(request, std::move(replier));
      [[fallthrough]];
    default:
      const api::MethodInfo* info = api::FindMethod(request.method);
      replier->FailNotProposed(api::NotImplemented(info == nullptr ? "this method" : info->path));
  }
}

void IoNode::AskRound(const Consistency& consistency, std::unique_ptr<api::Replier> replier,
                      Question question) {
  api::Request request;
  request.consistency = consistency;
  request.deadline = loop_.now() + kRoundTimeout;
  reads_.Add(request, 0, std::move(question), std::move(replier));
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void IoNode::ServeRange(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  api::ParsedRange parsed;
  if (const Status status = api::ParseRange(request.bytes, parsed); !status.ok()) {
    return replier->Fail(status);
  }
  const Revision revision = parsed.op.revision;
  reads_.Add(request, revision, std::move(parsed.op), std::move(replier));
}

void IoNode::ServeTxn(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  mvcc::TxnOp txn;
  if (const Status status = api::ParseTxn(request.bytes, options_.limits, txn); !status.ok()) {
    return replier->FailNotProposed(status);
  }
  if (mvcc::ReadOnly(txn)) return reads_.Add(request, 0, std::move(txn), std::move(replier));
  Write(request, mvcc::Command(std::move(txn)), std::move(replier));
}

Status IoNode::ParseWrite(const api::Request& request, mvcc::Command& out) const {
  switch (request.method) {
    case api::Method::kPut: {
      mvcc::PutOp op;
      COPPICE_RETURN_IF_ERROR(api::ParsePut(request.bytes, op));
      out = std::move(op);
      return OkStatus();
    }
    case api::Method::kDeleteRange: {
      mvcc::DeleteOp op;
      COPPICE_RETURN_IF_ERROR(api::ParseDelete(request.bytes, op));
      out = std::move(op);
      return OkStatus();
    }
    default: {
      api::ParsedCompact parsed;
      COPPICE_RETURN_IF_ERROR(api::ParseCompact(request.bytes, parsed));
      out = parsed.op;
      return OkStatus();
    }
  }
}

void IoNode::ServeWrite(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  mvcc::Command command;
  if (const Status status = ParseWrite(request, command); !status.ok()) {
    return replier->FailNotProposed(status);
  }
  Write(request, command, std::move(replier));
}

void IoNode::Write(const api::Request& request, const mvcc::Command& command,
                   std::unique_ptr<api::Replier> replier) {
  const api::MethodInfo& info = *api::FindMethod(request.method);
  if (const Status status = api::CheckSize(info, request.bytes.size(), options_.limits);
      !status.ok()) {
    return replier->FailNotProposed(status);
  }
  if (!facts_->is_leader) return Elsewhere(request, std::move(replier));
  // Applying it would refuse it too, but the log has no room for what is refused.
  if (HasNoSpace(*facts_) && mvcc::NeedsSpace(command)) {
    return replier->FailNotProposed(api::ToStatus(api::EtcdError::kNoSpace));
  }
  WriteIntent intent;
  intent.payload = mvcc::EncodeCommand(command);
  intent.payload_crc = Entry::PayloadCrc(intent.payload);
  PendingWrites::Pending pending;
  pending.replier = std::move(replier);
  pending.request = request;
  intent.token = writes_.Add(std::move(pending));
  intents_.push_back(std::move(intent));
}

void IoNode::Elsewhere(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  if (request.hops > kHopsMax) {
    return replier->FailNotProposed(api::ToStatus(api::EtcdError::kNoLeader));
  }
  if (facts_->leader == NodeId() || facts_->leader == facts_->node) {
    return Park(request, std::move(replier));
  }
  forwarder_.ToLeader(request, std::move(replier));
}

void IoNode::Park(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  if (parked_.empty()) parked_retry_at_ = loop_.now() + kParkedRetry;
  Parked parked;
  parked.request = request;
  parked.replier = std::move(replier);
  parked_.push_back(std::move(parked));
}

void IoNode::OnTurn(Time now) {
  reads_.OnTurn(COPPICE_MUTANT(kAdmitByEarlierClock) ? loop_.wake_time() : now);
  if (!intents_.empty()) core_.Propose(options_.index, std::exchange(intents_, {}));
  Expire(now);
  FinishMoves(now);
  if (!parked_.empty() && now >= parked_retry_at_) ServeParked();
  ArmTimer();
}

void IoNode::Expire(Time now) {
  for (;;) {
    PendingWrites::Pending late = writes_.TakeExpired(now);
    if (late.replier == nullptr) break;
    late.replier->Fail(api::ToStatus(api::EtcdError::kTimeout));
  }
  const auto late = std::partition(parked_.begin(), parked_.end(),
                                   [now](const Parked& p) { return p.request.deadline > now; });
  for (auto it = late; it != parked_.end(); ++it) {
    it->replier->FailNotProposed(api::ToStatus(api::EtcdError::kTimeout));
  }
  parked_.erase(late, parked_.end());
}

void IoNode::ArmTimer() {
  Time next = std::min(reads_.NextDeadline(), writes_.NextDeadline());
  if (!parked_.empty()) next = std::min(next, parked_retry_at_);
  for (const Parked& parked : parked_) next = std::min(next, parked.request.deadline);
  for (const Move& move : moves_) next = std::min(next, move.deadline);
  if (next >= timer_at_) return;  // the earlier one that is set looks again
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

void IoNode::ServeAsked(int slot) {
  reads_.ServeAsked(loop_.now(), slot);
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void IoNode::ViewPublished(Revision /*revision*/,
                           const std::vector<mvcc::EventBatchPtr>& /*events*/) {
  reads_.ViewPublished(loop_.now());
}

void IoNode::WritesDone(std::vector<WriteOutcome> outcomes) {
  for (WriteOutcome& outcome : outcomes) {
    PendingWrites::Pending pending = writes_.Take(outcome.token);
    if (pending.replier != nullptr) Finish(std::move(pending), std::move(outcome));
  }
}

void IoNode::Finish(PendingWrites::Pending pending, WriteOutcome outcome) {
  switch (outcome.kind) {
    case WriteOutcome::Kind::kApplied:
      return ReplyApplied(pending, outcome);
    case WriteOutcome::Kind::kBusy:
      return pending.replier->FailNotProposed(
          api::ToStatus(api::EtcdError::kRequestTooManyRequests));
    case WriteOutcome::Kind::kUnknown:
      return pending.replier->Fail(api::ToStatus(api::EtcdError::kLeaderChanged));
    case WriteOutcome::Kind::kNotProposed: {
      // The leader moved between the turn that looked and the one that proposed.
      Elsewhere(pending.request, std::move(pending.replier));
      loop_.Wake(*this, io::Loop::Phase::kCore);
      return;
    }
  }
}

void IoNode::ReplyApplied(PendingWrites::Pending& pending, const WriteOutcome& outcome) {
  const mvcc::CommandResult& result = outcome.result;
  if (result.error != mvcc::Error::kNone) {
    return pending.replier->Fail(api::ToStatus(result.error));
  }
  const api::ResponseHeader header = HeaderOf(*facts_, result.revision, outcome.term);
  std::string bytes;
  if (const auto* put = std::get_if<mvcc::PutResult>(&result.value)) {
    api::EncodePut(header, *put, bytes);
  } else if (const auto* deleted = std::get_if<mvcc::DeleteResult>(&result.value)) {
    api::EncodeDelete(header, *deleted, bytes);
  } else if (const auto* txn = std::get_if<mvcc::TxnResult>(&result.value)) {
    api::EncodeTxn(header, *txn, bytes);
  } else if (const auto* alarm = std::get_if<mvcc::AlarmResult>(&result.value)) {
    api::EncodeAlarm(header, *alarm, bytes);
  } else {
    api::EncodeHeaderOnly(header, bytes);
  }
  api::Served served;
  served.by = facts_->node;
  const std::string_view piece = bytes;
  pending.replier->Ok({&piece, 1}, served);
}

void IoNode::FactsChanged(const FactsPtr& facts) {
  facts_ = facts;
  reads_.SetFacts(facts);
  forwarder_.FactsChanged(facts);
  FinishMoves(loop_.now());
  ServeParked();
}

// Also from time to time: a leader whose hand-over failed leads on, and no fact changes.
void IoNode::ServeParked() {
  parked_retry_at_ = loop_.now() + kParkedRetry;
  if (parked_.empty() || facts_->leader == NodeId()) return;
  for (Parked& parked : std::exchange(parked_, {})) {
    Serve(parked.request, std::move(parked.replier));
  }
}

}  // namespace coppice::node
