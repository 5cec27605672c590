#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/base/clock.h"
#include "common/base/time.h"

namespace coppice::io {

// The machine's clock: CLOCK_BOOTTIME and the wall clock.
class SystemClock final : public Clock {
 public:
  Time Now() const override;
  std::int64_t UnixMicros() const override;
};

// Something that acts once at the end of each turn in which it was woken: a core that steps over
// what its inbox gathered, or a connection that sends what the turn wrote in one call.
class TurnTask {
 public:
  virtual ~TurnTask() = default;
  // `now` is taken after the turn's input was read: whatever is admitted by it had arrived.
  virtual void OnTurn(Time now) = 0;

 private:
  friend class Loop;
  bool queued_ = false;
};

// One thread's event loop. A turn: wait for an event, poll until dry (at most 256 events or 200
// us), run what was posted, then the woken cores, then the woken flushers; cores may wake flushers
// and cores, and the turn ends when none is left. Thread: everything but Post and Stop is called on
// the loop's own thread (or before Run).
//
// A driven loop has no thread, descriptors or asio context of its own: its time comes from a given
// clock, and its owner turns it (DriveWake, DriveTurn). The simulator's loops are such.
class Loop {
 public:
  using Task = absl::AnyInvocable<void()>;
  enum class Phase { kCore, kFlush };

  explicit Loop(std::string name);
  Loop(std::string name, const Clock& clock);  // driven; the clock outlives it
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  boost::asio::io_context& context() { return machine_->context; }  // not of a driven loop
  const std::string& name() const { return name_; }

  void Run();   // until Stop; may run again after it
  void Stop();  // any thread
  bool stopped() const { return stop_.load(std::memory_order_acquire); }  // of a driven loop
  void Post(Task task);  // any thread; from the loop's own thread it costs no lock and no wake

  // A driven loop's turn has two steps, between which time may pass: it wakes (and reads its
  // clock); then it takes the input that has come, which `input` delivers, and acts on it.
  void DriveWake() { wake_time_ = Refresh(); }
  void DriveTurn(const std::function<void()>& input);
  bool HasWork() const;    // for a turn at once, timers aside
  Time NextTimer() const;  // kNever: none is set

  bool OnThisThread() const;
  // When the loop last woke: for timers and arrival stamps.
  Time wake_time() const { return wake_time_; }
  // Taken after polling, or now if asked for outside a turn's end.
  Time now() const { return now_; }
  Time Refresh();  // reads the clock

  // `task` acts at the end of this turn, once however often it is woken.
  void Wake(TurnTask& task, Phase phase);
  // Called before `task` dies, if it may be queued.
  void Forget(TurnTask& task);
  // Runs once per turn after everything else, and before blocking: quiescence (mvcc views).
  void SetQuiescence(std::function<void(bool blocking)> hook) { quiesce_ = std::move(hook); }

  // Runs `task` at `when` or just after, once. Timers of 20 ms and more land on a 10 ms grid.
  using TimerId = std::uint64_t;
  TimerId RunAt(Time when, Task task);
  void Cancel(TimerId id);

 private:
  struct Timers;
  struct Machine {  // what a loop with a thread of its own waits on
    Machine() : context(1), work(context.get_executor()), timer(context) {}
    boost::asio::io_context context;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
    boost::asio::steady_timer timer;
  };

  Time ReadClock() const { return driver_ == nullptr ? clock_.Now() : driver_->Now(); }
  void Turn();
  void FinishTurn();
  bool RunPosted();  // whether there was anything
  void RunWoken();
  void ArmTimer();
  void FireTimers();

  const std::string name_;
  const SystemClock clock_{};
  const Clock* const driver_ = nullptr;  // of a driven loop; otherwise there is machine_
  std::optional<Machine> machine_;
  std::atomic<bool> stop_{false};
  Time wake_time_ = 0;
  Time now_ = 0;
  std::vector<Task> own_posted_;
  std::vector<TurnTask*> cores_;
  std::vector<TurnTask*> flushers_;
  std::vector<TurnTask*> running_;   // the batch RunWoken is in
  std::vector<Task> running_tasks_;  // the batch RunPosted is in
  std::function<void(bool)> quiesce_;
  std::unique_ptr<Timers> timers_;

  std::mutex mutex_;  // protects posted_
  std::vector<Task> posted_;
  std::atomic<bool> has_posted_{false};
};

}  // namespace coppice::io
