#include "loadgen/sim/clients/watching.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "etcd/rpc.pb.h"

namespace coppice::sim {
namespace {

constexpr Micros kActPause = 1200 * kMillisecond;
constexpr Micros kStallAfter = 2 * kSecond;
constexpr Micros kSettleStep = 100 * kMillisecond;
constexpr Micros kAskAgain = 700 * kMillisecond;
constexpr std::size_t kWatchesMax = 8;
constexpr int kWatchesStalled = 6;  // that many times as much fills a stream sooner
constexpr int kWatchesBeside = 3;
constexpr std::int64_t kNoId = -1;

Kv ToKv(const mvccpb::KeyValue& in) {
  return {in.key(), in.value(), in.create_revision(), in.mod_revision(), in.version(), in.lease()};
}

bool Parse(std::string_view bytes, WatchReply& out, std::uint64_t& cluster) {
  etcdserverpb::WatchResponse in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  cluster = in.header().cluster_id();
  out.watch_id = in.watch_id();
  out.header = in.header().revision();
  out.created = in.created();
  out.canceled = in.canceled();
  out.compact_revision = in.compact_revision();
  out.reason = in.cancel_reason();
  out.fragment = in.fragment();
  for (const mvccpb::Event& event : in.events()) {
    WatchEvent& made = out.events.emplace_back();
    made.is_delete = event.type() == mvccpb::Event::DELETE;
    made.kv = ToKv(event.kv());
    if (event.has_prev_kv()) made.prev = ToKv(event.prev_kv());
  }
  return true;
}

std::string RangeEndOf(const mvcc::KeyRange& range) {
  if (range.unbounded) return std::string(1, '\0');
  return range.SingleKey() ? std::string() : range.end;
}

}  // namespace

WatchLoop::WatchLoop(ClientWorld& world, Shared& shared, Session& session, RequestDraw& draw,
                     std::optional<Place> place)
    : world_(world), shared_(shared), session_(session), draw_(draw), place_(place) {}

void WatchLoop::Start() {
  world_.After(world_.rng().Between(0, kSecond), [this] { Open(); });
  ActLater();
  if (!place_ || !place_->stalls) return;
  world_.After(kStallAfter, [this] {
    if (call_ != nullptr && reading_ && !shared_.winding_down()) StopReading();
  });
}

void WatchLoop::Open() {
  if (call_ != nullptr) return;
  if (watches_.empty()) {
    if (shared_.winding_down()) return;
    if (place_) {
      AddPlaced();
    } else {
      for (std::uint64_t n = 1 + world_.rng().Below(4); n > 0; --n) AddWatch();
    }
  }
  auto record = std::make_unique<StreamRecord>();
  CallOptions options;
  draw_.DrawStream({session_.highest, session_.cluster_id, session_.in_session, false}, options,
                   *record);
  auto endpoint = static_cast<int>(world_.rng().Below(world_.endpoints().size()));
  if (place_ && !std::exchange(placed_, true)) endpoint = place_->endpoint;
  const Endpoint& chosen = world_.endpoints()[static_cast<std::size_t>(endpoint)];
  record->number = shared_.history.streams.size();
  record->client = world_.index();
  record->endpoint = chosen.name;
  record->tier = chosen.tier;
  record->opened = world_.TrueNow();
  record_ = record.get();
  shared_.history.streams.push_back(std::move(record));
  asked_progress_at_ = 0;
  reading_ = true;
  unanswered_.clear();
  call_ = world_.Open(endpoint, options, *this);
  for (const auto& watch : watches_) SendCreate(*watch);
}

void WatchLoop::SendCreate(Watch& watch) {
  watch.spec.sent = world_.TrueNow();
  watch.created = watch.canceling = false;
  watch.asked = watch.spec.start;
  record_->creates.push_back(watch.spec);
  unanswered_.push_back(&watch);
  etcdserverpb::WatchRequest request;
  auto& create = *request.mutable_create_request();
  create.set_key(watch.spec.range.begin);
  create.set_range_end(RangeEndOf(watch.spec.range));
  create.set_start_revision(watch.spec.start);
  create.set_progress_notify(watch.spec.progress_notify);
  create.set_prev_kv(watch.spec.prev_kv);
  create.set_fragment(watch.spec.fragment);
  create.set_watch_id(watch.spec.watch_id);
  if (watch.spec.no_put) create.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  if (watch.spec.no_delete) create.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  call_->Send(request.SerializeAsString());
}

// The stream is over; its watches go on elsewhere.
void WatchLoop::Lose(bool resume) {
  call_.reset();
  record_->ended = world_.TrueNow();
  record_ = nullptr;
  unanswered_.clear();
  if (!resume) watches_.clear();
  for (const auto& watch : watches_) {
    watch->spec.resumed = true;
    ++shared_.watches_resumed;
  }
  const Micros step = std::min<Micros>(20 * kMillisecond << std::min(losses_++, 6), kSecond);
  world_.After(world_.rng().Between(step / 2, step), [this] { Open(); });
}

void WatchLoop::OnEnd(const CallEnd& end) {
  shared_.Mix(static_cast<std::uint64_t>(end.status.code()));
  Lose(/*resume=*/true);
}

WatchLoop::Watch* WatchLoop::Find(std::int64_t id) {
  for (const auto& watch : watches_) {
    if (watch->created && watch->id == id) return watch.get();
  }
  return nullptr;
}

void WatchLoop::OnMessage(std::string_view message) {
  WatchReply reply;
  std::uint64_t cluster = 0;
  reply.at = world_.TrueNow();
  shared_.Mix(message);
  if (!Parse(message, reply, cluster)) return;
  losses_ = 0;
  session_.Saw(cluster, reply.header, false);
  shared_.Saw(reply.header);
  shared_.watch_events += reply.events.size();
  record_->replies.push_back(reply);
  if (reply.created) OnCreated(reply);
  if (reply.canceled && !reply.created) OnCanceled(reply);
  if (!reply.events.empty()) OnEvents(reply);
  if (!reply.created && !reply.canceled && reply.events.empty()) OnProgress(reply);
}

void WatchLoop::OnCreated(const WatchReply& reply) {
  if (unanswered_.empty()) return;
  Watch& watch = *unanswered_.front();
  unanswered_.pop_front();
  if (reply.canceled) {
    std::erase_if(watches_, [&watch](const auto& other) { return other.get() == &watch; });
    return;
  }
  watch.created = true;
  watch.id = reply.watch_id;
  if (watch.spec.start == 0) watch.spec.start = reply.header + 1;
}

void WatchLoop::OnCanceled(const WatchReply& reply) {
  Watch* const watch = Find(reply.watch_id);
  if (watch == nullptr) return;
  if (reply.compact_revision == 0 || watch->canceling) {
    std::erase_if(watches_, [watch](const auto& other) { return other.get() == watch; });
    return;
  }
  // What it missed is gone: from the first revision that is left.
  ++shared_.watches_compacted;
  watch->spec.start = reply.compact_revision;
  watch->spec.resumed = false;
  watch->spec.watch_id = 0;
  SendCreate(*watch);
}

void WatchLoop::OnEvents(const WatchReply& reply) {
  Watch* const watch = Find(reply.watch_id);
  shared_.fragments += reply.fragment ? 1 : 0;
  if (watch == nullptr || reply.fragment) return;
  watch->spec.start = std::max(watch->spec.start, reply.events.back().kv.mod + 1);
}

void WatchLoop::OnProgress(const WatchReply& reply) {
  ++shared_.progress;
  asked_progress_at_ = 0;
  for (const auto& watch : watches_) {
    if (!watch->created || (reply.watch_id != kNoId && watch->id != reply.watch_id)) continue;
    watch->spec.start = std::max(watch->spec.start, reply.header + 1);
  }
}

// --- What it does by itself.

void WatchLoop::ActLater() {
  if (shared_.winding_down()) return Settle();
  world_.After(Pause(world_.rng(), kActPause), [this] {
    if (call_ != nullptr && !shared_.winding_down() && !place_) Act();
    ActLater();
  });
}

void WatchLoop::Act() {
  switch (world_.rng().Below(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      if (watches_.size() >= kWatchesMax) return;
      AddWatch();
      return SendCreate(*watches_.back());
    case 4:
    case 5:
      return CancelOne();
    case 6:
      return PauseReading();
    case 7:
      shared_.Mix(7);
      return Lose(world_.rng().Chance(0.8));
    default:
      return AskProgress();
  }
}

void WatchLoop::AddWatch() {
  auto watch = std::make_unique<Watch>();
  watch->spec = draw_.DrawWatch(
      {session_.highest, session_.cluster_id, session_.in_session, session_.own_write});
  watches_.push_back(std::move(watch));
}

void WatchLoop::AddPlaced() {
  for (int i = place_->stalls ? kWatchesStalled : kWatchesBeside; i > 0; --i) {
    auto watch = std::make_unique<Watch>();
    watch->spec = RequestDraw::WatchOfAll(/*prev_kv=*/i == 1);
    watches_.push_back(std::move(watch));
  }
}

void WatchLoop::CancelOne() {
  if (watches_.empty()) return;
  Watch& watch = *watches_[world_.rng().Below(watches_.size())];
  if (!watch.created || watch.canceling) return;
  watch.canceling = true;
  record_->cancels.push_back({world_.TrueNow(), watch.id});
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(watch.id);
  call_->Send(request.SerializeAsString());
}

void WatchLoop::AskProgress() {
  asked_progress_at_ = world_.LocalNow();
  etcdserverpb::WatchRequest request;
  request.mutable_progress_request();
  call_->Send(request.SerializeAsString());
}

void WatchLoop::PauseReading() {
  if (!reading_) return;
  StopReading();
  const StreamRecord* const stream = record_;
  world_.After(world_.rng().Between(100 * kMillisecond, 8 * kSecond), [this, stream] {
    if (record_ == stream && !reading_) GoOnReading();
  });
}

void WatchLoop::StopReading() {
  reading_ = false;
  ++shared_.slow_readers;
  record_->unread.push_back({.from = world_.TrueNow()});
  call_->SetReading(false);
}

void WatchLoop::GoOnReading() {
  reading_ = true;
  record_->unread.back().to = world_.TrueNow();
  call_->SetReading(true);
}

// --- The end of a run.

void WatchLoop::OnPhase() {
  if (shared_.winding_down() && call_ != nullptr && !reading_) GoOnReading();
}

bool WatchLoop::Reached(const Watch& watch) const {
  return watch.created && watch.spec.start > shared_.highest;
}

bool WatchLoop::Settled() const {
  return std::all_of(watches_.begin(), watches_.end(),
                     [this](const auto& watch) { return Reached(*watch); });
}

std::string WatchLoop::Unsettled() const {
  for (const auto& watch : watches_) {
    if (Reached(*watch)) continue;
    return fmt::format("client {}: watch {} of {} wants revision {} of {}{}{}", world_.index(),
                       watch->id, record_ == nullptr ? "no stream" : Describe(*record_),
                       watch->spec.start, shared_.highest, watch->created ? "" : ", not created",
                       asked_progress_at_ == 0 ? "" : ", progress asked for");
  }
  return {};
}

// Asks for progress until each watch has said that it has all. One that starts in the future holds
// the stream's progress back, as with etcd; it has nothing to wait for and is canceled.
void WatchLoop::Settle() {
  if (call_ == nullptr) Open();
  if (call_ != nullptr && !Settled()) {
    for (const auto& watch : watches_) {
      if (!watch->created || watch->asked <= shared_.highest || watch->canceling) continue;
      watch->canceling = true;
      record_->cancels.push_back({world_.TrueNow(), watch->id});
      etcdserverpb::WatchRequest request;
      request.mutable_cancel_request()->set_watch_id(watch->id);
      call_->Send(request.SerializeAsString());
    }
    const Time now = world_.LocalNow();
    if (asked_progress_at_ == 0 || now - asked_progress_at_ >= kAskAgain) AskProgress();
  }
  world_.After(kSettleStep, [this] { Settle(); });
}

}  // namespace coppice::sim
