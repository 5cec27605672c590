#include "loadgen/sim/clients/unary.h"

#include <algorithm>
#include <utility>

#include "common/api/duration.h"
#include "common/api/errors.h"
#include "etcd/rpc.pb.h"

namespace coppice::sim {

using api::EtcdError;

namespace {

constexpr int kAttemptsMax = 8;
constexpr Micros kServerTimeout = 7 * kSecond;  // of a call without a deadline
constexpr Micros kPatience = 3 * kSecond;       // beyond any deadline

template <typename Message>
bool HeaderOf(std::string_view bytes, etcdserverpb::ResponseHeader& out) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  out = message.header();
  return true;
}

bool HeaderOf(OpKind kind, std::string_view bytes, etcdserverpb::ResponseHeader& out) {
  using namespace etcdserverpb;
  switch (kind) {
    case OpKind::kRange:
      return HeaderOf<RangeResponse>(bytes, out);
    case OpKind::kPut:
      return HeaderOf<PutResponse>(bytes, out);
    case OpKind::kDelete:
      return HeaderOf<DeleteRangeResponse>(bytes, out);
    case OpKind::kTxn:
      return HeaderOf<TxnResponse>(bytes, out);
    case OpKind::kCompact:
      return HeaderOf<CompactionResponse>(bytes, out);
    case OpKind::kMemberList:
      return HeaderOf<MemberListResponse>(bytes, out);
    case OpKind::kStatus:
      return HeaderOf<StatusResponse>(bytes, out);
    case OpKind::kHashKv:
      return HeaderOf<HashKVResponse>(bytes, out);
    case OpKind::kAlarm:
      return HeaderOf<AlarmResponse>(bytes, out);
  }
  return false;
}

}  // namespace

bool Temporary(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded ||
         code == StatusCode::kCancelled || code == StatusCode::kUnknown ||
         code == StatusCode::kInternal || code == StatusCode::kAborted;
}

UnaryLoop::UnaryLoop(ClientWorld& world, Shared& shared, Session& session, RequestDraw& draw,
                     Micros pause)
    : world_(world), shared_(shared), session_(session), draw_(draw), pause_(pause) {}

void UnaryLoop::Rest() {
  world_.After(Pause(world_.rng(), pause_), [this] { Begin(); });
}

void UnaryLoop::Begin() {
  if (shared_.winding_down()) return;
  const std::uint64_t number = shared_.operations++;
  if (number >= shared_.options.operations_max) return;
  const Known known{session_.highest, session_.cluster_id, session_.in_session, session_.own_write};
  Drawn drawn = draw_.Draw(known);
  options_ = std::move(drawn.options);
  auto record = std::make_unique<OpRecord>(std::move(drawn.record));
  record_ = record.get();
  record_->number = number;
  record_->client = world_.index();
  shared_.history.ops.push_back(std::move(record));
  Attempt();
}

// Mostly where it went last: that is what clients do, and it meets each node's staleness.
int UnaryLoop::ChooseEndpoint() {
  const auto count = world_.endpoints().size();
  if (endpoint_ < 0 || record_->attempts > 0 || world_.rng().Chance(0.15)) {
    endpoint_ = static_cast<int>(world_.rng().Below(count));
  }
  return endpoint_;
}

void UnaryLoop::Attempt() {
  const int endpoint = ChooseEndpoint();
  const Endpoint& chosen = world_.endpoints()[static_cast<std::size_t>(endpoint)];
  ++record_->attempts;
  record_->timeout = options_.timeout;
  record_->endpoint = chosen.name;
  record_->tier = chosen.tier;
  record_->invoke = world_.TrueNow();
  record_->response.clear();
  const Micros timeout = options_.timeout > 0 ? options_.timeout : kServerTimeout;
  give_up_ = world_.After(timeout + kPatience, [this] { GiveUp(); });
  give_up_set_ = true;
  call_ = world_.Open(endpoint, options_, *this);
  call_->Send(record_->request);
  call_->HalfClose();
}

void UnaryLoop::GiveUp() {
  give_up_set_ = false;
  call_.reset();
  Finish(Outcome::kUnknown, MakeStatus(StatusCode::kDeadlineExceeded, "the client gave it up"));
}

void UnaryLoop::OnMessage(std::string_view message) {
  record_->response.append(message);
}

void UnaryLoop::OnEnd(const CallEnd& end) {
  if (std::exchange(give_up_set_, false)) world_.Cancel(give_up_);
  call_.reset();
  record_->heard_at = end.heard_at;
  if (end.status.ok()) {
    ReadHeader();
    ReadTrailers(end);
    return Finish(Outcome::kOk, end.status);
  }
  if (Repeats(end)) return RepeatLater();
  // Nobody was there (a voter with a damaged log stays down), and another would have been asked.
  if (end.certainly_not_sent && shared_.winding_down()) record_->given_up = true;
  // "no leader" is said only of what was not proposed.
  const bool not_done = end.certainly_not_sent || end.status == api::ToStatus(EtcdError::kNoLeader);
  const bool open = Temporary(end.status.code()) && !(record_->mutation && not_done);
  Finish(open ? Outcome::kUnknown : Outcome::kRefused, end.status);
}

bool UnaryLoop::Repeats(const CallEnd& end) const {
  if (shared_.winding_down() || record_->attempts >= kAttemptsMax) return false;
  if (end.certainly_not_sent) return true;
  return !record_->mutation && Temporary(end.status.code());
}

void UnaryLoop::RepeatLater() {
  if (!record_->mutation) ++shared_.repeated_reads;
  const auto step = std::min<std::int64_t>(25 * kMillisecond << record_->attempts, kSecond);
  world_.After(world_.rng().Between(step / 2, step), [this] {
    if (!shared_.winding_down()) return Attempt();
    record_->given_up = true;
    Finish(record_->mutation ? Outcome::kRefused : Outcome::kUnknown,
           MakeStatus(StatusCode::kUnavailable, "the run ends"));
  });
}

void UnaryLoop::ReadHeader() {
  etcdserverpb::ResponseHeader header;
  if (!HeaderOf(record_->kind, record_->response, header)) {
    record_->status = MakeStatus(StatusCode::kDataLoss, "the response cannot be read");
    return;
  }
  record_->revision = header.revision();
  record_->member = header.member_id();
  session_.Saw(header.cluster_id(), header.revision(), record_->mutation);
  shared_.Saw(header.revision());
}

void UnaryLoop::ReadTrailers(const CallEnd& end) {
  for (const auto& [name, value] : end.trailers) {
    if (name == "coppice-served-by") record_->served_by = value;
    if (name != "coppice-staleness") continue;
    if (!api::ParseDuration(value, record_->staleness)) record_->staleness = -1;
  }
}

void UnaryLoop::Finish(Outcome outcome, const Status& status) {
  OpRecord& record = *std::exchange(record_, nullptr);
  record.end = world_.TrueNow();
  record.outcome = outcome;
  if (record.status.ok()) record.status = status;
  const bool ok = outcome == Outcome::kOk;
  shared_.succeeded += ok ? 1 : 0;
  shared_.unknown_outcomes += outcome == Outcome::kUnknown && record.mutation ? 1 : 0;
  shared_.bounded_reads += ok && record.consistency.mode == ReadMode::kBounded ? 1 : 0;
  shared_.session_reads += ok && record.in_session && !record.mutation ? 1 : 0;
  shared_.refused_future += status == api::ToStatus(EtcdError::kFutureRev) ? 1 : 0;
  shared_.refused_compacted += status == api::ToStatus(EtcdError::kCompacted) ? 1 : 0;
  shared_.Mix(static_cast<std::uint64_t>(record.end));
  shared_.Mix(static_cast<std::uint64_t>(status.code()));
  shared_.Mix(record.response);
  if (!shared_.winding_down()) Rest();
}

}  // namespace coppice::sim
