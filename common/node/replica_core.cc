#include "common/node/replica_core.h"

#include <algorithm>
#include <variant>

#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/log.h"

namespace coppice::node {

using replica::ReadGate;

namespace {

constexpr Micros kRetryInterval = 500 * kMillisecond;
constexpr Micros kStallRetryInterval = 5 * kMillisecond;
constexpr std::size_t kSliceBytes = 1U << 20;  // of what waits, in one turn
constexpr Micros kFlushCheck = 1 * kSecond;

static_assert(kThreadsMax - 1 <= replica::kGateLoopsMax);

// A disk that could not be written or synced, or that lost what it held: neither the store nor a
// later sync can be trusted. What was acknowledged is in the log.
void EndProcessIfInDoubt(Host& host, const Status& status) {
  if (status.code() != StatusCode::kInternal && status.code() != StatusCode::kDataLoss) return;
  COPPICE_LOG(kError,
              "the store cannot be written, so this process ends: {}. What it held is in the "
              "voters' logs; mend the disk, then start it again",
              MessageOf(status));
  host.EndProcess(74);  // EX_IOERR; no destructor may touch the store any more
}

}  // namespace

ReplicaCore::ReplicaCore(Runtime& runtime, mvcc::Store& store, const Options& options)
    : runtime_(runtime),
      loop_(runtime.core()),
      store_(store),
      options_(options),
      wants_events_(static_cast<std::size_t>(runtime.io_count()), false),
      gate_(options.gate),
      tail_(runtime.core(), options.tail) {
  last_flush_ = loop_.now();
  // Before the loops run: afterwards view 0 is that of an io loop's thread.
  const mvcc::ReadView& view = store_.View(0);
  applied_ = queued_ = given_ = view.applied;
  applied_term_ = view.term;
  store_.Quiesce(0, true);
}

ReplicaCore::~ReplicaCore() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

template <typename F>
void ReplicaCore::OnIo(int loop, F&& act) {
  io::Loop& target = runtime_.io(loop);
  if (&target == &loop_) return act(*ios_[static_cast<std::size_t>(loop)]);
  target.Post([port = ios_[static_cast<std::size_t>(loop)], act = std::forward<F>(act)]() mutable {
    act(*port);
  });
}

void ReplicaCore::Start() {
  COPPICE_CHECK(ios_.size() == wants_events_.size());
  store_.ScanMeta(replica::Registry::kPrefix, [this](std::string_view key, std::string_view value) {
    if (!registry_.LoadRow(key, value)) COPPICE_LOG(kError, "registry: a damaged row was skipped");
  });
  tail_.Input(replica::TailSource::Restarted{applied_, applied_term_});
  Gate(ReadGate::Applied{applied_});
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

Status ReplicaCore::Stop() {
  store_.backend().StopCompacting();
  flusher_.reset();
  return store_.Flush();
}

void ReplicaCore::ReadsWait(int loop, int slot) {
  const ReadGate::LocalWaiting input{loop, slot};
  if (&runtime_.io(loop) == &loop_) return Gate(input);
  loop_.Post([this, input] { Gate(input); });
}

void ReplicaCore::Propose(int loop, std::vector<WriteIntent> intents) {
  if (&runtime_.io(loop) == &loop_) return hooks_.propose(loop, std::move(intents));
  loop_.Post([this, loop, intents = std::move(intents)]() mutable {
    hooks_.propose(loop, std::move(intents));
  });
}

void ReplicaCore::MoveLeader(NodeId to) {
  loop_.Post([this, to] {
    if (hooks_.move_leader) hooks_.move_leader(to);
  });
}

void ReplicaCore::Defragment() {
  loop_.Post([this] {
    defragment_ = true;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

void ReplicaCore::WantEvents(int loop, bool wanted) {
  const auto set = [this, loop, wanted] { wants_events_[static_cast<std::size_t>(loop)] = wanted; };
  if (&runtime_.io(loop) == &loop_) return set();
  loop_.Post(set);
}

void ReplicaCore::Renewals(int loop, replica::RenewBundle bundle) {
  if (&runtime_.io(loop) == &loop_) return hooks_.renewals(bundle);
  loop_.Post([this, bundle = std::move(bundle)] { hooks_.renewals(bundle); });
}

void ReplicaCore::Gate(ReadGate::Input input) {
  gate_inputs_.push_back(std::move(input));
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void ReplicaCore::Apply(std::span<const EntryPtr> entries) {
  if (entries.empty()) return;
  std::size_t fitting = behind() ? 0 : Fitting(entries);
  given_ = entries.back()->index();
  while (fitting > 0) {
    Queue(entries.first(fitting));
    entries = entries.subspan(fitting);
    if (batches_.size() == 1) TryFirst();
    fitting = Fitting(entries);
  }
  if (waiting()) loop_.Wake(*this, io::Loop::Phase::kCore);  // for the timer
}

// How many of them may wait in memory.
std::size_t ReplicaCore::Fitting(std::span<const EntryPtr> entries) const {
  if (!hooks_.read_log) return entries.size();
  std::size_t bytes = waiting_bytes_;
  std::size_t count = 0;
  for (const EntryPtr& entry : entries) {
    bytes += entry->record().size();
    const bool first = batches_.empty() && count == 0;
    if (bytes > options_.waiting_bytes_max && !first) break;
    ++count;
  }
  return count;
}

void ReplicaCore::Queue(std::span<const EntryPtr> entries) {
  Batch batch;
  batch.entries.assign(entries.begin(), entries.end());
  for (const EntryPtr& entry : entries) batch.bytes += entry->record().size();
  CollectMeta(batch);
  waiting_bytes_ += batch.bytes;
  queued_ = entries.back()->index();
  batches_.push_back(std::move(batch));
}

// The next of the entries that were left in the log. False: there is none, or it cannot be read.
bool ReplicaCore::ReadBack() {
  if (!behind()) return false;
  const StatusOr<std::vector<EntryPtr>> entries =
      hooks_.read_log(queued_ + 1, given_, std::min(kSliceBytes, options_.waiting_bytes_max));
  if (!entries.ok()) {
    CannotApply(queued_ + 1, entries.status());
    return false;
  }
  COPPICE_CHECK(!entries->empty(), "the log has what is committed");
  Queue(*entries);
  return true;
}

// A slice of it, by the timer: once a turn, as the loop has more to do.
void ReplicaCore::ApplyWaiting() {
  if (loop_.now() < retry_at_) return;
  const Index before = applied_;
  std::size_t bytes = 0;
  while (bytes < kSliceBytes && (!batches_.empty() || ReadBack())) {
    bytes += batches_.front().bytes;
    if (!TryFirst()) break;
  }
  if (applied_ != before && hooks_.waiting_applied) hooks_.waiting_applied();
}

void ReplicaCore::CollectMeta(Batch& batch) {
  for (const EntryPtr& entry : batch.entries) {
    if (entry->kind() == RecordKind::kRegistry) {
      const auto outcome = registry_.Apply(entry->index(), entry->payload(), batch.meta);
      batch.registry_changed = batch.registry_changed || outcome.changed;
      if (!outcome.refused.empty()) COPPICE_LOG(kWarn, "registry: {}", outcome.refused);
    } else if (entry->kind() == RecordKind::kConfiguration) {
      batch.meta.push_back({std::string(kConfigurationKey), std::string(entry->payload())});
    }
  }
}

// Of what waits in memory.
bool ReplicaCore::TryFirst() {
  const Batch& batch = batches_.front();
  mvcc::ApplyOutput out;
  if (const Status status = WriteToStore(batch, out); !status.ok()) {
    EndProcessIfInDoubt(runtime_.host(), status);
    CannotApply(batch.entries.front()->index(), status);
    return false;
  }
  if (!stuck_reason_.ok()) {
    COPPICE_LOG(kInfo, "entry {} could be applied: going on",
                batch.entries.front()->index().value());
  }
  stuck_reason_ = OkStatus();
  stalled_since_.reset();
  retry_at_ = 0;
  Applied(batch, out);
  waiting_bytes_ -= batch.bytes;
  batches_.pop_front();
  return true;
}

Status ReplicaCore::WriteToStore(const Batch& batch, mvcc::ApplyOutput& out) {
  // A batch is executed before the backend is asked: not in vain every few milliseconds.
  if (stalled_since_ && store_.backend().Stalled()) {
    return MakeStatus(StatusCode::kUnavailable, "the store still stalls");
  }
  failpoint::Pass("apply.before");
  const Status status = store_.Apply(batch.entries, batch.meta, out);
  if (status.ok()) failpoint::Pass("apply.after");
  return status;
}

void ReplicaCore::CannotApply(Index index, const Status& status) {
  const Time now = loop_.now();
  if (status.code() == StatusCode::kUnavailable) {
    if (!stalled_since_) stalled_since_ = now;
    retry_at_ = now + kStallRetryInterval;
    if (now - *stalled_since_ < options_.stall_max) return;
  } else {
    stalled_since_.reset();
    retry_at_ = now + kRetryInterval;
  }
  if (stuck_reason_.ok()) {
    COPPICE_LOG(kError, "cannot apply entry {}: {}. This node serves what it has and is not ready",
                index.value(), MessageOf(status));
  }
  stuck_reason_ = status;
}

void ReplicaCore::Applied(const Batch& batch, mvcc::ApplyOutput& out) {
  applied_ = batch.entries.back()->index();
  applied_term_ = batch.entries.back()->term();
  const bool alarms_changed =
      std::any_of(out.results.begin(), out.results.end(), [](const auto& result) {
        return std::holds_alternative<mvcc::AlarmResult>(result.second.value);
      });
  if (hooks_.applied) hooks_.applied(batch.entries, out);
  if ((batch.registry_changed || alarms_changed) && hooks_.registry_changed) {
    hooks_.registry_changed();
  }
  const Revision made = out.events.empty() ? 0 : out.events.back()->revision;
  for (int loop = 0; loop < static_cast<int>(ios_.size()); ++loop) {
    const bool wanted = wants_events_[static_cast<std::size_t>(loop)];
    OnIo(loop, [made, events = wanted ? out.events : std::vector<mvcc::EventBatchPtr>()](
                   IoPort& io) { io.ViewPublished(made, events); });
  }
  Gate(ReadGate::Applied{applied_});
}

void ReplicaCore::SendOutcomes(int loop, std::vector<WriteOutcome> outcomes) {
  OnIo(loop, [outcomes = std::move(outcomes)](IoPort& io) mutable {
    io.WritesDone(std::move(outcomes));
  });
}

void ReplicaCore::Publish(FactsPtr facts) {
  for (int loop = 0; loop < static_cast<int>(ios_.size()); ++loop) {
    OnIo(loop, [facts](IoPort& io) { io.FactsChanged(facts); });
  }
}

void ReplicaCore::OnTurn(Time now) {
  if (now >= gate_.NextDeadline()) gate_inputs_.emplace_back(ReadGate::Timer{});
  if (!gate_inputs_.empty()) {
    const std::vector<ReadGate::Input> inputs = std::exchange(gate_inputs_, {});
    gate_.Step(now, inputs, gate_out_);
    PerformGate();
  }
  store_.CollectGarbage();
  MaybeFlush();
  ArmTimer();
}

void ReplicaCore::PerformGate() {
  ReadGate::Output out = std::exchange(gate_out_, {});
  if (out.publish_fresh) {
    store_.PublishFresh(*out.publish_fresh);
    tail_.Input(replica::TailSource::RoundConfirmed{*out.publish_fresh});
    if (hooks_.round_confirmed) hooks_.round_confirmed(*out.publish_fresh);
  }
  for (const ReadGate::ServeLoop& serve : out.serve) {
    OnIo(serve.loop, [slot = serve.slot](IoPort& io) { io.ServeAsked(slot); });
  }
  for (const ReadGate::AnswerChild& answer : out.answer) {
    tail_.Answer(answer.child, answer.child_id, true, answer.index);
  }
  for (const ReadGate::RefuseChild& refuse : out.refuse) {
    tail_.Answer(refuse.child, refuse.child_id, false, Index());
  }
  for (const ReadGate::SendRound& send : out.send) hooks_.rounds->SendRound(send.id, send.relaxed);
  if (out.confirmed && hooks_.confirmed_changed) hooks_.confirmed_changed(*out.confirmed);
}

void ReplicaCore::MaybeFlush() {
  if (flushing_ || (!defragment_ && !FlushDue())) return;
  flusher_.reset();
  flushing_ = true;
  last_flush_ = loop_.now();
  flusher_ = runtime_.host().Run(
      [this, defragment = std::exchange(defragment_, false)] { RunFlush(defragment); });
}

bool ReplicaCore::FlushDue() const {
  if (store_.flushed() == applied_) return false;
  const Time since = loop_.now() - last_flush_;
  // A flush that failed leaves the bytes where they are: no second one at once.
  if (since < kFlushCheck) return false;
  return since >= options_.flush_interval || store_.unflushed_bytes() >= options_.flush_bytes ||
         failpoint::Reached("flush.due") != failpoint::Fault::kNone;
}

// On the flush thread.
void ReplicaCore::RunFlush(bool defragment) {
  failpoint::Pass("flush.before");
  const Status status = store_.Flush();
  EndProcessIfInDoubt(runtime_.host(), status);
  failpoint::Pass("flush.after");
  Status defragmented = status;
  if (defragment && status.ok()) defragmented = store_.backend().CompactRange("", "");
  loop_.Post([this, status, defragment, defragmented] {
    flushing_ = false;
    for (int loop = 0; defragment && loop < static_cast<int>(ios_.size()); ++loop) {
      OnIo(loop, [defragmented](IoPort& io) { io.Defragmented(defragmented); });
    }
    if (!status.ok()) {
      COPPICE_LOG(kError, "cannot flush the store: {}; the log keeps what it would have saved",
                  MessageOf(status));
    }
  });
}

void ReplicaCore::ArmTimer() {
  Time next = std::min(gate_.NextDeadline(), loop_.now() + kFlushCheck);
  if (waiting()) next = std::min(next, std::max(retry_at_, loop_.now()));
  if (next >= timer_at_) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    ApplyWaiting();
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

}  // namespace coppice::node
