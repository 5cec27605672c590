#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/entry.h"
#include "common/io/loop.h"
#include "common/mvcc/store.h"
#include "common/node/ports.h"
#include "common/node/runtime.h"
#include "common/node/tail_server.h"
#include "common/replica/read_gate.h"
#include "common/replica/registry.h"

namespace coppice::node {

// The store's meta key under which the Raft configuration is kept.
constexpr std::string_view kConfigurationKey = "raft/configuration";

// Where a process's read rounds go: a leader's own Raft core, or the connection to the leader, a
// voter or a relay. Thread: the core loop's.
class RoundSender {
 public:
  virtual ~RoundSender() = default;
  virtual void SendRound(std::uint64_t id, bool relaxed) = 0;
};

// What voters and learners share on the core loop: applies committed entries to the store,
// publishes views, runs the read gate, serves subscribers of the log, keeps the registry. Owns the
// store's writing side. Thread: the core loop's; what CorePort declares, any io loop.
class ReplicaCore final : public CorePort, private io::TurnTask {
 public:
  struct Options {
    replica::ReadGateConfig gate;
    replica::TailSourceConfig tail;
    Micros flush_interval = 30 * kSecond;
    std::size_t flush_bytes = 64U << 20;
    // Of committed entries in memory that the store has not taken. Needs Hooks::read_log.
    std::size_t waiting_bytes_max = 64U << 20;
    // A store that has stalled for so long is one that cannot be written.
    Micros stall_max = 1 * kSecond;
  };
  struct Hooks {
    RoundSender* rounds = nullptr;
    // Commands of a turn's io loops; null where none are proposed (a learner).
    std::function<void(int loop, std::vector<WriteIntent>)> propose;
    std::function<void(NodeId to)> move_leader;  // null as above
    // Results of applied commands, in log order.
    std::function<void(std::span<const EntryPtr> entries, mvcc::ApplyOutput& out)> applied;
    // Entries [from, to], at least one, about `bytes_max`, of those that were given to Apply: from
    // a log on disk. Null where there is none (a learner): then all that waits is in memory, and
    // who calls Apply bounds it.
    std::function<StatusOr<std::vector<EntryPtr>>(Index from, Index to, std::size_t bytes_max)>
        read_log;
    // Entries that had to wait for the store have been applied, in a turn of their own. May be
    // null.
    std::function<void()> waiting_applied;
    // Renewals and joins that came from below.
    std::function<void(const replica::RenewBundle&)> renewals;
    // The registry's contents or the alarms changed; before io loops hear of the view.
    std::function<void()> registry_changed;
    // Whether a read round was confirmed within 3 election timeouts changed.
    std::function<void(bool)> confirmed_changed;
    // A round begun at `sent_at` is confirmed and applied.
    std::function<void(Time sent_at)> round_confirmed;
  };

  ReplicaCore(Runtime& runtime, mvcc::Store& store, const Options& options);
  ~ReplicaCore() override;

  // Before Run.
  void SetHooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void AddIo(IoPort* port) { ios_.push_back(port); }
  void Start();
  // Stops background work; flushes what is applied.
  Status Stop();

  // CorePort.
  void ReadsWait(int loop, int slot) override;
  void Propose(int loop, std::vector<WriteIntent> intents) override;
  void MoveLeader(NodeId to) override;
  void Defragment() override;
  void WantEvents(int loop, bool wanted) override;
  void Renewals(int loop, replica::RenewBundle bundle) override;

  // Committed entries, contiguous with what came before. What the store cannot take now waits and
  // is tried again: after milliseconds if it stalls, twice a second if it cannot be written (a full
  // disk); an entry kind that this release does not know stops apply. Beyond a bound it waits in
  // the log alone.
  void Apply(std::span<const EntryPtr> entries);
  void Gate(replica::ReadGate::Input input);
  void SendOutcomes(int loop, std::vector<WriteOutcome> outcomes);
  void Publish(FactsPtr facts);  // to every io loop

  mvcc::Store& store() { return store_; }
  TailServer& tail() { return tail_; }
  replica::Registry& registry() { return registry_; }
  const replica::ReadGate& gate() const { return gate_; }
  Index applied() const { return applied_; }
  Term applied_term() const { return applied_term_; }
  // Apply cannot go on. A stall alone, while it is short, is not that.
  bool stuck() const { return !stuck_reason_.ok(); }
  Status stuck_reason() const { return stuck_reason_; }
  // So much waits that a part of it is in the log alone.
  bool behind() const { return given_ > queued_; }
  std::size_t waiting_bytes() const { return waiting_bytes_; }

 private:
  void OnTurn(Time now) override;
  // Committed entries, and the meta writes that those which are no commands make.
  struct Batch {
    std::vector<EntryPtr> entries;
    std::vector<mvcc::MetaWrite> meta;
    std::size_t bytes = 0;
    bool registry_changed = false;
  };
  bool waiting() const { return !batches_.empty() || behind(); }
  std::size_t Fitting(std::span<const EntryPtr> entries) const;
  void Queue(std::span<const EntryPtr> entries);
  bool ReadBack();
  void CollectMeta(Batch& batch);
  void ApplyWaiting();
  bool TryFirst();
  Status WriteToStore(const Batch& batch, mvcc::ApplyOutput& out);
  void CannotApply(Index index, const Status& status);
  void Applied(const Batch& batch, mvcc::ApplyOutput& out);
  void PerformGate();
  void MaybeFlush();
  bool FlushDue() const;
  void RunFlush(bool defragment);
  void ArmTimer();
  template <typename F>
  void OnIo(int loop, F&& act);  // on that loop's thread: a call if it is this one

  Runtime& runtime_;
  io::Loop& loop_;
  mvcc::Store& store_;
  const Options options_;
  Hooks hooks_;
  std::vector<IoPort*> ios_;
  std::vector<bool> wants_events_;
  replica::Registry registry_;
  replica::ReadGate gate_;
  TailServer tail_;
  std::vector<replica::ReadGate::Input> gate_inputs_;
  replica::ReadGate::Output gate_out_;
  Index applied_;
  Term applied_term_;
  // What waits: in memory, then, above queued_ and up to given_, in the log.
  std::deque<Batch> batches_;
  std::size_t waiting_bytes_ = 0;
  Index queued_;
  Index given_;
  Time retry_at_ = 0;  // of the first one
  std::optional<Time> stalled_since_;
  Status stuck_reason_;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
  Time last_flush_ = 0;
  bool flushing_ = false;
  bool defragment_ = false;  // asked for, not begun
  std::unique_ptr<Host::Background> flusher_;
};

}  // namespace coppice::node
