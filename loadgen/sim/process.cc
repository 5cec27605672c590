#include "loadgen/sim/process.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "loadgen/sim/transport.h"

namespace coppice::sim {
namespace {

constexpr Micros kTurnCost = 3;  // so that loops which wake each other make time pass
constexpr Micros kBackgroundMax = 30 * kMillisecond;
constexpr Micros kHandOverMax = 30;  // to another thread

}  // namespace

// --- LoopSlot

void LoopSlot::Deliver(Task input) {
  if (!alive()) return;
  inbox_.push_back(std::move(input));
  TurnAt(process_.fabric_.scheduler.now());
}

void LoopSlot::TurnAt(Time when) {
  when = std::max({when, process_.busy_until_, process_.paused_until_});
  if (awake_ || turn_at_ <= when) return;
  turn_at_ = when;
  process_.fabric_.scheduler.At(when, [this, alive = process_.alive_, generation = ++generation_] {
    if (*alive) Wake(generation);
  });
}

void LoopSlot::Wake(std::uint64_t generation) {
  if (generation != generation_ || !alive() || process_.dead_) return;
  const Time now = process_.fabric_.scheduler.now();
  turn_at_ = kNever;
  if (process_.busy_until_ > now || process_.paused_until_ > now) return TurnAt(now);
  loop_->DriveWake();
  const Micros wait = process_.Hesitation();
  if (wait == 0) return Turn(generation);
  awake_ = true;
  turn_at_ = now + wait;
  process_.fabric_.scheduler.At(turn_at_, [this, alive = process_.alive_, generation] {
    if (*alive) Turn(generation);
  });
}

void LoopSlot::Turn(std::uint64_t generation) {
  if (generation != generation_ || !alive() || process_.dead_) return;
  Scheduler& scheduler = process_.fabric_.scheduler;
  const Time resume = std::max(process_.busy_until_, process_.paused_until_);
  if (resume > scheduler.now()) {
    // Stopped between waking and taking its input.
    awake_ = true;
    turn_at_ = resume;
    scheduler.At(resume, [this, alive = process_.alive_, generation] {
      if (*alive) Turn(generation);
    });
    return;
  }
  awake_ = false;
  turn_at_ = kNever;
  std::vector<Task> inbox = std::exchange(inbox_, {});
  process_.turning_ = true;
  process_.fabric_.running = &process_;
  loop_->DriveTurn([&inbox] {
    for (Task& input : inbox) input();
  });
  inbox.clear();
  process_.fabric_.running = nullptr;
  process_.turning_ = false;
  process_.EndOfTurn();
  const std::shared_ptr<bool> alive = process_.alive_;
  Process& process = process_;
  if (!process.dead_ && process.after_turn_) process.after_turn_();
  if (!*alive) return;
  if (process.dead_) {
    return process.TellEnd();
  }
  process.Kick();
}

void LoopSlot::Arrange() {
  if (!alive()) return;
  if (!inbox_.empty() || loop_->HasWork()) return TurnAt(process_.fabric_.scheduler.now());
  const Time timer = loop_->NextTimer();
  if (timer != kNever) TurnAt(process_.clock_.TrueTimeOf(timer));
}

// --- Process

Process::Process(Fabric& fabric, MachineClock& clock, Options options)
    : fabric_(fabric),
      clock_(clock),
      options_(std::move(options)),
      random_(fabric.seed, 0x1d0000 + options_.incarnation),
      pace_(fabric.seed, 0x9ace0000 + options_.incarnation) {}

Process::~Process() {
  *alive_ = false;
}

void Process::Die() {
  if (std::exchange(dead_, true)) return;
  if (turning_ || !on_end_) return;
  fabric_.scheduler.At(fabric_.scheduler.now(), [this, alive = alive_] {
    if (*alive) TellEnd();
  });
}

// The process is destroyed within.
void Process::TellEnd() {
  if (std::exchange(told_end_, true) || on_end_ == nullptr) return;
  const std::function<void()> on_end = std::move(on_end_);
  on_end();
}

void Process::PauseUntil(Time when) {
  paused_until_ = std::max(paused_until_, when);
}

void Process::EndOfTurn() {
  busy_until_ = std::max(busy_until_, fabric_.scheduler.now() + clock_.spent() + kTurnCost);
  clock_.ResetSpent();
}

void Process::ClockChanged() {
  Kick();
}

void Process::Kick() {
  if (dead_) return;
  for (const auto& slot : slots_) slot->Arrange();
}

Micros Process::Hesitation() {
  if (!pace_.Chance(options_.hesitation)) return 0;
  return static_cast<Micros>(pace_.Below(static_cast<std::uint64_t>(options_.hesitation_max) + 1));
}

LoopSlot& Process::SlotOf(const io::Loop& loop) {
  for (const auto& slot : slots_) {
    if (slot->loop_ == &loop) return *slot;
  }
  COPPICE_CHECK(false, "a loop of this process");
  std::abort();
}

void Process::Forget(const io::Loop& loop) {
  LoopSlot& slot = SlotOf(loop);
  slot.loop_ = nullptr;
  slot.inbox_.clear();
  ++slot.generation_;
}

void Process::DropInput() {
  for (const auto& slot : slots_) slot->inbox_.clear();
}

void Process::LoopsGone() {
  for (const auto& slot : slots_) slot->loop_ = nullptr;
}

std::uint64_t Process::RandomId() {
  const std::uint64_t id = random_.Next();
  return id == 0 ? 1 : id;
}

std::unique_ptr<io::Loop> Process::MakeLoop(const std::string& name) {
  auto loop = std::make_unique<io::Loop>(name, clock_);
  slots_.push_back(std::make_unique<LoopSlot>(*this));
  slots_.back()->loop_ = loop.get();
  return loop;
}

std::unique_ptr<io::Transport> Process::MakeTransport(io::Loop& loop,
                                                      const io::TransportOptions& options,
                                                      io::Accept accept) {
  return std::make_unique<SimTransport>(SlotOf(loop), options, std::move(accept));
}

std::unique_ptr<io::Listener> Process::MakeListener(io::Loop& loop,
                                                    const io::TransportOptions& options,
                                                    io::Listener::Choose choose) {
  return std::make_unique<SimListener>(SlotOf(loop), options, std::move(choose));
}

struct Process::Work {
  std::function<void()> run;  // null once it ran
};

class Process::BackgroundWork final : public node::Host::Background {
 public:
  BackgroundWork(Process& process, std::shared_ptr<Work> work)
      : process_(process), work_(std::move(work)) {}
  ~BackgroundWork() override {
    if (work_->run != nullptr && !process_.dead_) std::exchange(work_->run, nullptr)();
    work_->run = nullptr;
  }

 private:
  Process& process_;
  const std::shared_ptr<Work> work_;
};

std::unique_ptr<node::Host::Background> Process::Run(std::function<void()> work) {
  auto shared = std::make_shared<Work>(Work{std::move(work)});
  const Micros delay = pace_.Between(100, kBackgroundMax);
  fabric_.scheduler.After(delay, [this, alive = alive_, shared] {
    if (!*alive || dead_ || shared->run == nullptr) return;
    clock_.Beside(std::exchange(shared->run, nullptr));
    Kick();
  });
  return std::make_unique<BackgroundWork>(*this, std::move(shared));
}

// What a work does is done at once, after the hand-over; the time that it takes passes before the
// loop hears of its end.
class Process::DiskWorker final : public node::Host::Worker {
 public:
  DiskWorker(Process& process, io::Loop& home) : process_(process), home_(home) {}
  ~DiskWorker() override { *alive_ = false; }

  void Run(std::function<void()> work, std::function<void()> done) override {
    process_.fabric_.coverage.Add("log-syncs-beside-the-loops");
    const Micros hand_over = process_.pace_.Between(0, kHandOverMax);
    Later(process_.clock_.spent() + hand_over, [this, work = std::move(work), done] {
      const Micros took = process_.clock_.Beside(work);
      Later(took, [this, done] {
        home_.Post(done);
        process_.Kick();
      });
    });
  }

 private:
  void Later(Micros delay, std::function<void()> task) {
    process_.fabric_.scheduler.After(
        delay, [process = &process_, here = alive_, there = process_.alive_, task] {
          if (*here && *there && !process->dead_) task();
        });
  }

  Process& process_;
  io::Loop& home_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

std::unique_ptr<node::Host::Worker> Process::MakeWorker(io::Loop& loop,
                                                        const std::string& /*name*/) {
  return std::make_unique<DiskWorker>(*this, loop);
}

}  // namespace coppice::sim

// A process that dies tells nobody, so that a connection attempt, which keeps itself until it has
// ended one way or the other, is never freed. On a real machine its process goes with it. By its
// file, as the function that allocates may be inlined.
extern "C" const char* __lsan_default_suppressions();   // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __lsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "leak:common/node/link.cc\n";
}
