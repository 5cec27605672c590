#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/io/loop.h"
#include "common/node/host.h"
#include "common/raft/core.h"
#include "common/wal/wal.h"
#include "voter/sync_place.h"

namespace coppice::voter {

// Runs the Raft core against the log and the peers: gathers a turn's inputs, then per pass one
// write, one message per peer, one sync (group commit), and the committed entries handed on. A log
// that cannot be written or synced ends the process: what was promised may not be on disk.
//
// The sync is waited for on the loop, or beside it (SyncPlace). Beside it there is one write at a
// time: what the core puts out meanwhile, the next write and the messages that need it, gathers
// until the sync has ended; what needs no disk (messages of the leader, confirmed reads, entries
// that are committed and durable) goes on. A leader whose sync does not end hands over.
//
// A disk without space stops it until there is some; status() then tells of no leader.
// Thread: the core loop's.
class RaftDriver final : private io::TurnTask {
 public:
  struct Hooks {
    std::function<void(NodeId to, const raft::Message& message)> send;
    // Committed entries, durable here, in order, each once.
    std::function<void(std::span<const EntryPtr> entries)> apply;
    std::function<void(const raft::ProposeResult& result)> proposed;
    // Entries went into the log, in place of all that it held from the first one's index on. After
    // `proposed` of those among them that were proposed here; null: nobody needs to know.
    std::function<void(std::span<const EntryPtr> entries)> appended;
    std::function<void(std::uint64_t id, Index index)> read_ready;
    std::function<void(std::uint64_t id)> read_refused;
    // status() changed in this turn: role, term, leader or commit.
    std::function<void(const raft::Status& status)> changed;
    // The turn's effects are all out.
    std::function<void()> turn_done;
    // The log failed. Does not return on a real machine (node::Host::EndProcess); where it does,
    // the driver does nothing any more.
    std::function<void(int code)> end_process;
  };
  struct Options {
    SyncPlace::Options sync_place;
    // A leader hands over once a sync beside the loop has taken so long, or where it cannot read
    // what a peer lacks; and again after as long.
    Micros resign_after = kSecond;
  };

  RaftDriver(io::Loop& loop, node::Host& host, const Options& options,
             std::unique_ptr<raft::Core> core, std::unique_ptr<wal::Wal> wal, Hooks hooks);
  ~RaftDriver() override;

  void Start();  // arms the timer; a single voter elects itself at once
  void Input(raft::Input input);
  // Gathered with the turn's others. False, and nothing is kept, if too much waits already: a log
  // without space takes nothing.
  [[nodiscard]] bool Propose(raft::Proposal proposal);
  const raft::Core& core() const { return *core_; }
  const raft::Status& status() const { return status_; }
  const wal::Wal& wal() const { return *wal_; }
  // Of the core's term and vote, what the syncs that have ended cover.
  const raft::HardState& saved() const { return saved_; }
  std::size_t queued_proposals() const { return proposals_.proposals.size(); }

 private:
  struct Synced {  // how a sync ended, and how long it took
    coppice::Status status;
    Micros took = 0;
  };
  // A write whose sync has not ended.
  struct Write {
    std::vector<raft::Outbound> messages;  // leave once it is durable
    std::optional<raft::Appended> appended;
    std::optional<raft::HardState> hard_state;
    Time resign_at;  // of a leader, if it is still out then
  };

  void OnTurn(Time now) override;
  bool StepAll(Time now);
  void Step(Time now, raft::Input input);
  bool Perform(Time now);
  void Stall();
  void Report(const raft::Status& status);
  void Send(std::span<const raft::Outbound> messages);
  bool WriteLog();
  bool SyncLog(Time now);
  void OnSynced(const Synced& synced);
  void Resign(Time now);
  void EndProcess(const coppice::Status& status);
  void RetryLater();
  void ReadLog();
  void HandOverUnreadable(Index from, const coppice::Status& status);
  void SayMissing();
  void DeliverEntries();
  void DeliverReads();
  void ArmTimer();

  io::Loop& loop_;
  const Clock& clock_;
  const Options options_;
  std::unique_ptr<raft::Core> core_;
  std::unique_ptr<wal::Wal> wal_;
  std::unique_ptr<node::Host::Worker> syncer_;  // dies before the log
  Hooks hooks_;
  std::vector<raft::Input> inputs_;
  raft::Propose proposals_;
  std::size_t proposal_bytes_ = 0;
  raft::Output out_;
  raft::Output step_;  // of one input; empty between
  raft::Status status_;
  std::optional<Write> write_;
  raft::HardState saved_;
  SyncPlace sync_place_;
  bool sync_ended_ = false;  // since the last turn: what gathered may be written
  bool stalled_ = false;     // out_ waits for space on the disk
  bool ended_ = false;       // the log failed
  Time unreadable_resign_at_ = 0;
  Time missing_said_at_ = 0;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::voter
