#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/node/host.h"
#include "loadgen/sim/clock.h"
#include "loadgen/sim/network.h"
#include "loadgen/sim/scheduler.h"

namespace coppice::sim {

class Process;

// What all machines of a world share.
struct Fabric {
  Scheduler& scheduler;
  Network& network;
  Trace& trace;
  Coverage& coverage;
  std::uint64_t seed;
  std::map<std::string, HostId> names;  // addresses: "v1"
  Process* running = nullptr;           // whose turn it is, for the log
  // A frame between voters leaves the process called `from`, for the node `to`.
  std::function<void(const std::string& from, NodeId to, std::string_view message)> raft_sent;
};

// One event loop of a simulated process: its input, and when it turns.
class LoopSlot {
 public:
  using Task = Scheduler::Task;

  explicit LoopSlot(Process& process) : process_(process) {}

  Process& process() { return process_; }
  io::Loop& loop() { return *loop_; }
  bool alive() const { return loop_ != nullptr; }
  // `input` is handled in the loop's next turn, unless the process is gone by then.
  void Deliver(Task input);
  // The loop turns at `when`, or sooner.
  void TurnAt(Time when);

 private:
  friend class Process;
  void Wake(std::uint64_t generation);
  void Turn(std::uint64_t generation);
  void Arrange();  // the next turn, after one

  Process& process_;
  io::Loop* loop_ = nullptr;
  std::vector<Task> inbox_;
  Time turn_at_ = kNever;  // the turn that is scheduled
  bool awake_ = false;     // it has woken, and turns at turn_at_
  std::uint64_t generation_ = 0;
};

// A process on a simulated machine, from its start to its end: its loops, what they take from the
// machine (node::Host), and what crashes and pauses do to it. Nothing that a process does after its
// end has an effect. Thread: one.
class Process final : public node::Host {
 public:
  struct Options {
    std::string name;
    HostId host = 0;
    std::uint64_t incarnation = 0;  // unique among all processes of a world
    int threads = 1;
    // Share of turns before which time passes between waking and taking input, and how much.
    double hesitation = 0.1;
    Micros hesitation_max = 200;
  };

  Process(Fabric& fabric, MachineClock& clock, Options options);
  ~Process() override;

  const std::string& name() const { return options_.name; }
  HostId host_id() const { return options_.host; }
  std::uint64_t incarnation() const { return options_.incarnation; }
  Fabric& fabric() { return fabric_; }
  MachineClock& machine_clock() { return clock_; }
  bool dead() const { return dead_; }
  // From here on nothing it does counts. `on_end` hears of it outside of its turns.
  void Die();
  void SetOnEnd(std::function<void()> on_end) { on_end_ = std::move(on_end); }
  // After each turn of any loop.
  void SetAfterTurn(std::function<void()> after) { after_turn_ = std::move(after); }
  void PauseUntil(Time when);
  Time paused_until() const { return paused_until_; }
  // What the process did took the time that its clock says: it turns again after that.
  void EndOfTurn();
  // The clock jumped or runs differently: timers come at other times.
  void ClockChanged();
  // When what a turn sends leaves the machine.
  Time Depart() const { return fabric_.scheduler.now() + clock_.spent(); }

  LoopSlot& SlotOf(const io::Loop& loop);
  std::size_t slots() const { return slots_.size(); }
  LoopSlot& slot(std::size_t index) { return *slots_[index]; }
  // Sees to it that loops with work turn: after something outside of a turn gave them some.
  void Kick();
  // A loop that dies before the process does.
  void Forget(const io::Loop& loop);
  // The end: first what came in and was not handled, then, once they are destroyed, the loops.
  void DropInput();
  void LoopsGone();

  // node::Host
  const Clock& clock() override { return clock_; }
  std::uint64_t RandomId() override;
  int ThreadsFor(int /*threads*/) override { return options_.threads; }
  std::unique_ptr<io::Loop> MakeLoop(const std::string& name) override;
  std::unique_ptr<io::Transport> MakeTransport(io::Loop& loop, const io::TransportOptions& options,
                                               io::Accept accept) override;
  std::unique_ptr<io::Listener> MakeListener(io::Loop& loop, const io::TransportOptions& options,
                                             io::Listener::Choose choose) override;
  std::unique_ptr<Background> Run(std::function<void()> work) override;
  std::unique_ptr<Worker> MakeWorker(io::Loop& loop, const std::string& name) override;
  void EndProcess(int /*code*/) override { Die(); }

 private:
  friend class LoopSlot;
  struct Work;
  class BackgroundWork;
  class DiskWorker;

  Micros Hesitation();
  void TellEnd();

  Fabric& fabric_;
  MachineClock& clock_;
  const Options options_;
  Rng random_;  // of ids
  Rng pace_;    // of turns
  bool dead_ = false;
  bool turning_ = false;
  bool told_end_ = false;
  Time busy_until_ = 0;
  Time paused_until_ = 0;
  std::function<void()> on_end_;
  std::function<void()> after_turn_;
  std::vector<std::unique_ptr<LoopSlot>> slots_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace coppice::sim
