#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "common/io/loop.h"
#include "common/raft/core.h"
#include "common/wal/wal.h"

namespace coppice::voter {

// Runs the Raft core against the log and the peers: gathers a turn's inputs, then per pass one
// write, one message per peer, one sync (group commit), and the committed entries handed on. A log
// that cannot be written or synced ends the process: what was promised may not be on disk. Thread:
// the core loop's.
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
    // Role, term, leader or commit changed in this turn.
    std::function<void(const raft::Status& status)> changed;
    // The turn's effects are all out.
    std::function<void()> turn_done;
    // The log failed. Does not return on a real machine (node::Host::EndProcess); where it does,
    // the driver does nothing any more.
    std::function<void(int code)> end_process;
  };

  RaftDriver(io::Loop& loop, std::unique_ptr<raft::Core> core, std::unique_ptr<wal::Wal> wal,
             Hooks hooks);
  ~RaftDriver() override;

  void Start();  // arms the timer; a single voter elects itself at once
  void Input(raft::Input input);
  // Gathered with the turn's others. False, and nothing is kept, if too much waits already: a log
  // without space takes nothing.
  [[nodiscard]] bool Propose(raft::Proposal proposal);
  const raft::Core& core() const { return *core_; }
  const raft::Status& status() const { return status_; }
  const wal::Wal& wal() const { return *wal_; }
  bool stalled() const { return stalled_; }  // the disk has no space: the last turn's output waits
  std::size_t queued_proposals() const { return proposals_.proposals.size(); }

 private:
  void OnTurn(Time now) override;
  bool StepAll(Time now);
  bool Perform();
  bool WriteLog();
  void EndProcess(const coppice::Status& status);
  void RetryLater();
  void ReadLog();
  void Deliver();
  void DeliverEntries();
  void ArmTimer();

  io::Loop& loop_;
  std::unique_ptr<raft::Core> core_;
  std::unique_ptr<wal::Wal> wal_;
  Hooks hooks_;
  std::vector<raft::Input> inputs_;
  raft::Propose proposals_;
  std::size_t proposal_bytes_ = 0;
  raft::Output out_;
  raft::Status status_;
  bool stalled_ = false;  // out_ waits for space on the disk
  bool ended_ = false;    // the log failed
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::voter
