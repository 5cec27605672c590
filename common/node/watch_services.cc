#include "common/node/watch_services.h"

#include <utility>

namespace coppice::node {

WatchServices::WatchServices(io::Loop& loop, int index, mvcc::Store& store, CorePort& core,
                             IoNode& node)
    : loop_(loop),
      index_(index),
      store_(store),
      core_(core),
      node_(node),
      hub_({}, store.View(index).revision, store.View(index).compact_revision) {
  store.Quiesce(index, true);
}

WatchServices::~WatchServices() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

void WatchServices::OnEvents(const std::vector<mvcc::EventBatchPtr>& events) {
  for (const mvcc::EventBatchPtr& batch : events) hub_.OnBatch(batch);
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void WatchServices::SetFacts(const FactsPtr& facts) { facts_ = facts; }

void WatchServices::OnTurn(Time now) {
  const mvcc::ReadView& view = store_.View(index_);
  hub_.OnView(view.revision, view.compact_revision);
  ReadHistory();
  const bool wants = hub_.watchers() > 0;
  if (wants != wants_events_) core_.WantEvents(index_, wants_events_ = wants);
  if (now - last_tick_ >= kSecond) last_tick_ = now;
  ArmTimer();
}

void WatchServices::ReadHistory() {
  while (const auto need = hub_.PollHistory()) {
    replica::History history;
    if (store_.EventsFrom(need->from, need->rows_max, history.batches)) {
      history.next = history.batches.empty() ? need->to + 1 : history.batches.back()->revision + 1;
    } else {
      history.error = store_.ScanHistory(need->from, need->to, need->rows_max, need->with_prev,
                                         history.batches, history.next);
    }
    hub_.OnHistory(history);
  }
}

void WatchServices::ArmTimer() {}

void WatchServices::OnWatchFrame(io::Connection&, const io::Frame&) {}
void WatchServices::OnWatchWritable(io::Connection&) {}
void WatchServices::OnWatchClosed(io::Connection&) {}

}  // namespace coppice::node
