#include "common/node/watch_services.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace coppice::node {
namespace {

constexpr Micros kHubTick = 1 * kSecond;

api::WatchEdgeOptions EdgeOptions(const WatchServices::Options& options,
                                  std::function<void()> wake) {
  api::WatchEdgeOptions out;
  out.cluster_id = options.cluster_id;
  out.member_id = options.member_id;
  out.listener_defaults = options.listener_defaults;
  out.progress_interval = options.tuning.watch_progress_interval;
  out.response_bytes_max = options.tuning.watch_response_bytes;
  out.wake_source = std::move(wake);
  return out;
}

// Turns the answer of a read that only asks for a round into an admission.
class AdmissionReplier final : public api::Replier {
 public:
  explicit AdmissionReplier(api::WatchAdmitter::Done done) : done_(std::move(done)) {}
  void Ok(std::span<const std::string_view> /*pieces*/, const api::Served& /*served*/) override {}
  void Fail(const Status& status) override { done_(status, 0); }
  void FailNotProposed(const Status& status) override { done_(status, 0); }
  void Parts(std::uint64_t /*total*/, std::unique_ptr<api::PartSource> /*source*/) override {}

 private:
  api::WatchAdmitter::Done done_;
};

}  // namespace

// A proxy's connection: where its frames go, and the state of its subscriptions.
struct WatchServices::Peer final : replica::FrameOut {
  Peer(io::Connection& connection, replica::WatchHub& hub, Time now)
      : connection(connection), watches({}, hub, *this, now) {}

  void Send(const io::Frame& frame, std::span<const std::string_view> pieces) override {
    std::size_t size = 0;
    for (const std::string_view piece : pieces) size += piece.size();
    std::string& out = connection.BeginFrame(frame, size);
    for (const std::string_view piece : pieces) out.append(piece);
  }
  std::size_t unsent_bytes() const override { return connection.unsent_bytes(); }

  io::Connection& connection;
  replica::WatchConnection watches;
};

WatchServices::WatchServices(io::Loop& loop, Options options, mvcc::Store& store, CorePort& core,
                             IoNode& node)
    : loop_(loop),
      index_(options.index),
      store_(store),
      core_(core),
      node_(node),
      facts_(node.facts()),
      hub_({}, store.View(options.index).revision, store.View(options.index).compact_revision),
      edge_(loop, hub_, *this, EdgeOptions(options, [this] { WakeUp(); })),
      published_(hub_.revision()) {
  store.Quiesce(index_, true);
}

WatchServices::~WatchServices() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

void WatchServices::OnEvents(Revision revision, const std::vector<mvcc::EventBatchPtr>& events) {
  published_ = std::max(published_, revision);
  for (const mvcc::EventBatchPtr& batch : events) hub_.OnBatch(batch);
  if (hub_.watchers() > 0 || !peers_.empty()) WakeUp();
}

void WatchServices::SetFacts(const FactsPtr& facts) {
  const bool lost = facts_->confirmed && !facts->confirmed;
  facts_ = facts;
  edge_.SetTerm(facts->term.value());
  if (lost) edge_.CutLeaderless();
}

void WatchServices::Admit(const mvcc::KeyRange& /*range*/, const Consistency& consistency,
                          std::string_view /*token*/, Done done) {
  node_.AskRound(consistency, std::make_unique<AdmissionReplier>(done),
                 [this, done](const mvcc::ReadView& view, api::Replier&, const api::Served&) {
                   // A compaction that was done before the watch was asked for is known to it.
                   hub_.OnView(published_, view.compact_revision);
                   done(OkStatus(), view.revision);
                 });
}

bool WatchServices::HasLeader() const {
  return facts_->confirmed;
}

void WatchServices::OnTurn(Time now) {
  const mvcc::ReadView& view = store_.View(index_);
  // Not the view's own revision: with a core loop apart, its batches may be on their way still, and
  // everybody would be sent to read the history.
  hub_.OnView(published_, view.compact_revision);
  if (now - ticked_at_ >= kHubTick) {
    ticked_at_ = now;
    hub_.Tick(now, store_.RingFirst());
  }
  ReadHistory();
  edge_.Poll(now);
  ReadHistory();
  for (auto& [id, peer] : peers_) peer->watches.OnTurn(now, view.auth_revision);
  ReadHistory();
  const bool wants = hub_.watchers() > 0;
  if (wants != wants_events_) core_.WantEvents(index_, wants_events_ = wants);
  ArmTimer();
}

// One step, and the next in the next turn: a long history holds nobody else up on this loop.
void WatchServices::ReadHistory() {
  const auto need = hub_.PollHistory();
  if (!need.has_value()) return;
  replica::History history;
  if (store_.EventsFrom(need->from, need->rows_max, history.batches)) {
    const bool part = history.batches.size() >= need->rows_max;
    history.next = part ? history.batches.back()->revision + 1 : need->to + 1;
    std::erase_if(history.batches,
                  [&](const mvcc::EventBatchPtr& batch) { return batch->revision > need->to; });
    history.next = std::min(history.next, need->to + 1);
  } else {
    history.error = store_.ScanHistory(need->from, need->to, need->rows_max, need->with_prev,
                                       history.batches, history.next);
  }
  hub_.OnHistory(history);
  loop_.Post([this] { WakeUp(); });
}

void WatchServices::ArmTimer() {
  Time next = hub_.watchers() > 0 ? ticked_at_ + kHubTick : kNever;
  for (const auto& [id, peer] : peers_) next = std::min(next, peer->watches.NextDeadline());
  if (next >= timer_at_) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    WakeUp();
  });
}

void WatchServices::OnWatchFrame(io::Connection& connection, const io::Frame& frame) {
  auto& peer = peers_[connection.id()];
  if (peer == nullptr) peer = std::make_unique<Peer>(connection, hub_, loop_.now());
  if (!peer->watches.OnFrame(loop_.now(), frame)) {
    COPPICE_LOG(kError, "a malformed watch frame of type {}: closing the connection",
                static_cast<int>(frame.type));
    return connection.Close(MakeStatus(StatusCode::kDataLoss, "malformed watch frame"));
  }
  WakeUp();
}

void WatchServices::OnWatchWritable(io::Connection& connection) {
  const auto it = peers_.find(connection.id());
  if (it == peers_.end()) return;
  it->second->watches.OnDrained(loop_.now());
  WakeUp();
}

void WatchServices::OnWatchClosed(io::Connection& connection) {
  peers_.erase(connection.id());
}

}  // namespace coppice::node
