#include "proxy/proxy_node.h"

#include <algorithm>
#include <utility>

#include "common/api/errors.h"
#include "common/api/methods.h"
#include "common/api/parse.h"
#include "common/base/coding.h"
#include "common/base/log.h"
#include "common/base/mutant.h"
#include "common/base/recycled.h"
#include "proxy/member_list.h"

namespace coppice::proxy {
namespace {

constexpr Micros kDefaultTimeout = 7 * kSecond;
constexpr Micros kExpireInterval = 50 * kMillisecond;
// After a refusal that another backend could not mend: news of a leader takes about as long.
constexpr Micros kRefusedPause = 20 * kMillisecond;
constexpr Micros kHurriedWait = 3 * kSecond;  // 3 election timeouts without a leader
constexpr std::size_t kRequestsMax = 1U << 18;
constexpr int kHurriedTries = 2;
// What a large answer may take for all the clients that share it; beyond it each asks by itself.
constexpr std::uint64_t kSharedBytesMax = 16U << 20;

bool IsRead(const api::Request& request) {
  if (request.method == api::Method::kRange || request.method == api::Method::kMemberList) {
    return true;
  }
  api::TxnRouting routing;
  return request.method == api::Method::kTxn && api::ScanTxnRouting(request.bytes, routing) &&
         routing.read_only;
}

// What kRewriteHeader does to an answer: a header that comes twice is merged, so its revision
// becomes what the leader last said.
bool ShowLeadersRevision(std::span<const std::string_view> pieces, const Router& router,
                         std::string& out) {
  const std::optional<BackendId> leader = router.Leader();
  if (!leader || router.StateOf(*leader) == nullptr) return false;
  for (const std::string_view piece : pieces) out += piece;
  std::string header;
  PutIntField(header, 3, static_cast<std::uint64_t>(router.StateOf(*leader)->revision));
  PutBytesField(out, 1, header);
  return true;
}

}  // namespace

// The answer of a group's upstream request, wherever it is sent.
class ProxyNode::GroupReplier final : public api::Replier, public Recycled<GroupReplier> {
 public:
  GroupReplier(ProxyNode& node, GroupId id) : node_(node), id_(id) {}

  void Ok(std::span<const std::string_view> pieces, const api::Served& served) override {
    node_.Answered(id_, pieces, served);
  }
  void Fail(const Status& status) override { node_.Refused(id_, status, false); }
  void FailNotProposed(const Status& status) override { node_.Refused(id_, status, true); }
  void Parts(std::uint64_t total, std::unique_ptr<api::PartSource> source) override {
    node_.AnsweredInParts(id_, total, std::move(source));
  }

  GroupId id() const { return id_; }

 private:
  ProxyNode& node_;
  const GroupId id_;
};

ProxyNode::ProxyNode(io::Loop& loop, io::Transport& transport, const Options& options)
    : loop_(loop),
      coalescer_(options.coalescer),
      pool_(loop, transport, options.pool, Rng(options.seed), *this) {
  if (options.metrics == nullptr) return;
  counters_.coalesced = &options.metrics->AddCounter(
      "coppice_proxy_coalesced_total", "Reads that shared the upstream read of an identical one");
  counters_.retried = &options.metrics->AddCounter(
      "coppice_proxy_retried_total", "Requests sent to another backend after one did not do them");
  counters_.unknown = &options.metrics->AddCounter(
      "coppice_proxy_outcome_unknown_total", "Mutations whose backend was lost before it answered");
}

ProxyNode::~ProxyNode() {
  closing_ = true;
  if (timer_ != 0) loop_.Cancel(timer_);
  loop_.Forget(*this);
}

void ProxyNode::Count(metrics::Counter* counter) {
  if (counter != nullptr) counter->Add();
}

void ProxyNode::Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  const api::MethodInfo* info = api::FindMethod(request.method);
  if (info == nullptr) {
    return replier->Fail(MakeStatus(StatusCode::kUnimplemented, "unknown method"));
  }
  if (coalescer_.requests() >= kRequestsMax) {
    return replier->FailNotProposed(api::ToStatus(api::EtcdError::kRequestTooManyRequests));
  }
  const bool read = IsRead(request);
  const std::size_t groups = coalescer_.groups();
  GroupId id;
  if (request.deadline == kNever) {
    api::Request timed = request;
    timed.deadline = loop_.now() + kDefaultTimeout;
    id = coalescer_.Add(loop_.now(), timed, std::move(replier), read, auth_revision_);
  } else {
    id = coalescer_.Add(loop_.now(), request, std::move(replier), read, auth_revision_);
  }
  if (coalescer_.groups() == groups) return Count(counters_.coalesced);
  BeginTrip(id, request, read, info->retry_safe);
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void ProxyNode::BeginTrip(GroupId id, const api::Request& request, bool read, bool retry_safe) {
  if (id.slot >= trips_.size()) trips_.resize(id.slot + 1);
  Trip& trip = trips_[id.slot];
  trip = {};
  trip.generation = id.generation;
  trip.may_repeat = read || retry_safe;
  trip.hurried = request.consistency.require_leader;
  // Voters know each other even before they have registered.
  const bool members = request.method == api::Method::kMemberList &&
                       request.consistency.mode == ReadMode::kLinearizable;
  trip.want.leader = !read || members;
  trip.want.mode = request.consistency.mode;
  trip.want.max_staleness = request.consistency.max_staleness.value_or(-1);
  trip.want.min_revision = request.consistency.min_revision;
}

void ProxyNode::OnTurn(Time now) {
  const std::size_t outstanding = pool_.BeginTurn(now);
  RouteParked(now);
  to_send_.clear();
  coalescer_.Take(now, outstanding, to_send_);
  for (const GroupId id : to_send_) Route(id, now);
  if (now >= expire_at_) Expire(now);
  ArmTimer(now);
}

void ProxyNode::Route(GroupId id, Time now) {
  const api::Request* request = coalescer_.Find(id);
  if (request == nullptr) return;
  Trip& trip = TripOf(id);
  const std::optional<BackendId> backend = pool_.router().Choose(trip.want, trip.avoid);
  if (!backend) {
    if (trip.parked_at == 0) trip.parked_at = now;
    if (trip.hurried && now - trip.parked_at >= kHurriedWait) {
      return coalescer_.Fail(id, api::ToStatus(api::EtcdError::kNoLeader), true);
    }
    return Park(id, now + kExpireInterval);
  }
  trip.parked_at = 0;
  trip.sent_to = *backend;
  if (++trip.tries > 1) Count(counters_.retried);
  pool_.Send(*backend, *request, std::make_unique<GroupReplier>(*this, id));
}

void ProxyNode::Park(GroupId id, Time not_before) {
  parked_.push_back({id, not_before});
}

void ProxyNode::RouteParked(Time now) {
  const bool all = std::exchange(changed_, false);
  std::vector<Parked> waiting = std::exchange(parked_, {});
  for (const Parked& parked : waiting) {
    // News end the wait for a backend, not the pause after a refusal.
    const bool refused = coalescer_.Find(parked.id) != nullptr && TripOf(parked.id).parked_at == 0;
    if (parked.not_before > now && (refused || !all)) {
      parked_.push_back(parked);
    } else {
      Route(parked.id, now);
    }
  }
}

void ProxyNode::Answered(GroupId id, std::span<const std::string_view> pieces,
                         const api::Served& served) {
  const api::Request* request = coalescer_.Find(id);
  if (request == nullptr) return;
  std::string shown;
  if ((request->method == api::Method::kMemberList &&
       ShowProxies(pieces, pool_.registry(), shown)) ||
      (COPPICE_MUTANT(kRewriteHeader) && ShowLeadersRevision(pieces, pool_.router(), shown))) {
    const std::string_view piece = shown;
    return coalescer_.Ok(id, {&piece, 1}, served);
  }
  coalescer_.Ok(id, pieces, served);
  if (coalescer_.gathering()) loop_.Wake(*this, io::Loop::Phase::kCore);
}

// An answer that is too large for one frame passes through at its client's pace. One that is shared
// is gathered first: the slowest client must not hold back the others.
void ProxyNode::AnsweredInParts(GroupId id, std::uint64_t total,
                                std::unique_ptr<api::PartSource> source) {
  const api::Request* request = coalescer_.Find(id);
  if (request == nullptr) return;
  const std::size_t waiters = coalescer_.waiters(id);
  const bool shared = waiters > 1 && total <= kSharedBytesMax / waiters;
  if (shared || request->method == api::Method::kMemberList) {
    gathering_.push_back({id, std::move(source), {}});
    const auto it = std::prev(gathering_.end());
    it->source->SetReady([this, it] { Gather(it); });
    return Gather(it);
  }
  for (const GroupId other : coalescer_.Scatter(loop_.now(), id)) {
    if (other.slot >= trips_.size()) trips_.resize(other.slot + 1);
    Trip& trip = TripOf(other);
    trip = TripOf(id);
    trip.generation = other.generation;
    trip.tries = 0;
  }
  loop_.Wake(*this, io::Loop::Phase::kCore);
  coalescer_.Parts(id, total, std::move(source));
}

void ProxyNode::Gather(std::list<Gathering>::iterator it) {
  using Next = api::PartSource::Next;
  auto next = Next::kMore;
  while (next == Next::kMore) next = it->source->Take(it->bytes);
  if (next == Next::kWait) return;
  std::list<Gathering> done;  // its source goes last: this is called from it
  done.splice(done.end(), gathering_, it);
  if (next == Next::kLost) return Refused(it->id, it->source->status(), false);
  const std::string_view piece = it->bytes;
  Answered(it->id, {&piece, 1}, it->source->served());
}

// What another backend, or the same a little later, might still do.
bool ProxyNode::TryElsewhere(GroupId id, Trip& trip, const Status& status) {
  if (closing_ || status.code() != StatusCode::kUnavailable) return false;
  if (trip.hurried && trip.tries >= kHurriedTries) return false;
  const Time now = loop_.now();
  if (coalescer_.Find(id)->deadline <= now) return false;
  trip.avoid = trip.sent_to;
  Park(id, trip.tries > 1 ? now + kRefusedPause : now);
  loop_.Wake(*this, io::Loop::Phase::kCore);
  return true;
}

void ProxyNode::Refused(GroupId id, const Status& status, bool not_proposed) {
  if (coalescer_.Find(id) == nullptr) return;
  Trip& trip = TripOf(id);
  if ((trip.may_repeat || not_proposed) && TryElsewhere(id, trip, status)) return;
  coalescer_.Fail(id, status, not_proposed);
}

void ProxyNode::OnNotProposed(node::Unanswered request) {
  Refused(static_cast<GroupReplier&>(*request.replier).id(), request.reason, true);
}

void ProxyNode::OnLost(std::vector<node::Unanswered> left) {
  for (node::Unanswered& request : left) {
    const GroupId group = static_cast<GroupReplier&>(*request.replier).id();
    if (coalescer_.Find(group) == nullptr) continue;
    Trip& trip = TripOf(group);
    trip.avoid = trip.sent_to;
    if (trip.may_repeat || request.certainly_not_done || COPPICE_MUTANT(kSendTwice)) {
      Park(group, 0);
    } else {
      Count(counters_.unknown);
      coalescer_.Fail(group, api::ToStatus(api::EtcdError::kTimeoutDueToConnectionLost));
    }
  }
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

bool ProxyNode::MayRepeat(const api::Replier& replier) const {
  const GroupId group = static_cast<const GroupReplier&>(replier).id();
  return coalescer_.Find(group) != nullptr && TripOf(group).may_repeat;
}

void ProxyNode::OnReplaced(std::uint64_t cluster_id) {
  if (on_replaced_) on_replaced_(cluster_id);
}

void ProxyNode::OnChange() {
  if (on_change_) on_change_();
  if (parked_.empty()) return;
  changed_ = true;
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void ProxyNode::OnWatchFrame(std::uint64_t connection, const io::Frame& frame) {
  if (watches_ != nullptr) watches_->OnWatchFrame(connection, frame);
}
void ProxyNode::OnConnectionLost(std::uint64_t connection) {
  if (watches_ != nullptr) watches_->OnConnectionLost(connection);
}
void ProxyNode::OnConnectionStale(std::uint64_t connection) {
  if (watches_ != nullptr) watches_->OnConnectionStale(connection);
}
void ProxyNode::OnConnectionFresh(std::uint64_t connection) {
  if (watches_ != nullptr) watches_->OnConnectionFresh(connection);
}

void ProxyNode::Expire(Time now) {
  expire_at_ = now + kExpireInterval;
  // The backends first: theirs is the deadline of the last waiter.
  pool_.Expire(now);
  coalescer_.Expire(now, [this](GroupId id) {
    const Trip& trip = TripOf(id);
    const bool no_leader = trip.parked_at != 0 && !pool_.HasLeader();
    return api::ToStatus(no_leader ? api::EtcdError::kNoLeader : api::EtcdError::kTimeout);
  });
}

void ProxyNode::ArmTimer(Time now) {
  Time next = coalescer_.NextDeadline();
  if (coalescer_.requests() > 0) next = std::min(next, std::max(expire_at_, now));
  for (const Parked& parked : parked_) next = std::min(next, std::max(parked.not_before, now));
  if (next == kNever || (timer_ != 0 && timer_at_ <= next)) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

}  // namespace coppice::proxy
