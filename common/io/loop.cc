#include "common/io/loop.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>

#include "common/base/check.h"

namespace coppice::io {
namespace {

constexpr int kEventsPerTurnMax = 256;
constexpr Micros kTurnMax = 200;
constexpr Micros kTimerGrid = 10 * kMillisecond;
constexpr Micros kGriddedFrom = 20 * kMillisecond;

thread_local Loop* t_current_loop = nullptr;

Time ReadSystemClock(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<Time>(ts.tv_sec) * kSecond + ts.tv_nsec / 1000;
}

}  // namespace

Time SystemClock::Now() const {
  return ReadSystemClock(CLOCK_BOOTTIME);
}
std::int64_t SystemClock::UnixMicros() const {
  return ReadSystemClock(CLOCK_REALTIME);
}

struct Loop::Timers {
  std::map<std::pair<Time, TimerId>, Task> by_time;
  std::map<TimerId, Time> when;
  TimerId last_id = 0;
  Time armed_for = kNever;
};

Loop::Loop(std::string name) : name_(std::move(name)), timers_(std::make_unique<Timers>()) {
  machine_.emplace();
  wake_time_ = Refresh();
}

Loop::Loop(std::string name, const Clock& clock)
    : name_(std::move(name)), driver_(&clock), timers_(std::make_unique<Timers>()) {
  wake_time_ = Refresh();
}

Loop::~Loop() {
  // Connections that only pending operations hold die with the context, after these lists.
  for (auto* list : {&cores_, &flushers_, &running_}) {
    for (TurnTask* task : *list) {
      if (task != nullptr) task->queued_ = false;
    }
  }
}

Time Loop::Refresh() {
  return now_ = ReadClock();
}

bool Loop::OnThisThread() const {
  return t_current_loop == this;
}

void Loop::Run() {
  t_current_loop = this;
  prctl(PR_SET_NAME, name_.c_str());
  ArmTimer();  // for what was set before the thread ran
  while (!stop_.load(std::memory_order_acquire)) Turn();
  stop_.store(false, std::memory_order_relaxed);
  t_current_loop = nullptr;
}

void Loop::Stop() {
  stop_.store(true, std::memory_order_release);
  if (machine_) boost::asio::post(machine_->context, [] {});
}

void Loop::Post(Task task) {
  if (OnThisThread()) {
    own_posted_.push_back(std::move(task));
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  // One wake for all that is posted until the loop has taken it.
  if (!has_posted_.exchange(true) && machine_) boost::asio::post(machine_->context, [] {});
}

void Loop::Wake(TurnTask& task, Phase phase) {
  if (task.queued_) return;
  task.queued_ = true;
  (phase == Phase::kCore ? cores_ : flushers_).push_back(&task);
}

void Loop::Forget(TurnTask& task) {
  if (!task.queued_) return;
  for (auto* list : {&cores_, &flushers_, &running_}) {
    std::replace(list->begin(), list->end(), &task, static_cast<TurnTask*>(nullptr));
  }
  task.queued_ = false;
}

void Loop::Turn() {
  boost::asio::io_context& context = machine_->context;
  const bool ready = !own_posted_.empty() || !cores_.empty() || !flushers_.empty();
  if (context.poll_one() == 0 && !ready) {
    if (quiesce_) quiesce_(true);
    context.run_one();
  }
  wake_time_ = Refresh();
  int events = 1;
  while (events < kEventsPerTurnMax && context.poll_one() != 0) {
    ++events;
    if ((events & 15) == 0 && clock_.Now() - wake_time_ > kTurnMax) break;
  }
  FinishTurn();
  ArmTimer();
  if (quiesce_) quiesce_(false);
}

void Loop::FinishTurn() {
  Refresh();
  FireTimers();
  // What was posted may have come in after the clock was read.
  if (RunPosted()) Refresh();
  RunWoken();
}

void Loop::DriveTurn(const std::function<void()>& input) {
  COPPICE_CHECK(driver_ != nullptr && t_current_loop == nullptr, "one loop turns at a time");
  t_current_loop = this;
  input();
  FinishTurn();
  if (quiesce_) quiesce_(!HasWork());
  t_current_loop = nullptr;
}

bool Loop::HasWork() const {
  return has_posted_.load() || !own_posted_.empty() || !cores_.empty() || !flushers_.empty();
}

Time Loop::NextTimer() const {
  return timers_->by_time.empty() ? kNever : timers_->by_time.begin()->first.first;
}

bool Loop::RunPosted() {
  if (has_posted_.exchange(false)) {
    const std::lock_guard lock(mutex_);
    running_tasks_.swap(posted_);
  }
  const bool any = !running_tasks_.empty() || !own_posted_.empty();
  for (Task& task : running_tasks_) task();
  // What these post themselves runs in the next turn, so that input is never starved.
  running_tasks_.clear();
  running_tasks_.swap(own_posted_);
  for (Task& task : running_tasks_) task();
  running_tasks_.clear();
  return any;
}

void Loop::RunWoken() {
  // Rounds are bounded: two cores that keep waking each other go on in the next turn.
  for (int round = 0; round < 16 && (!cores_.empty() || !flushers_.empty()); ++round) {
    running_.swap(cores_.empty() ? flushers_ : cores_);
    // A task that dies while another one runs clears its place through Forget.
    for (std::size_t i = 0; i < running_.size(); ++i) {
      TurnTask* task = running_[i];
      if (task == nullptr) continue;
      task->queued_ = false;
      task->OnTurn(now_);
    }
    running_.clear();
  }
}

Loop::TimerId Loop::RunAt(Time when, Task task) {
  if (when - now_ >= kGriddedFrom) when += kTimerGrid - 1 - (when + kTimerGrid - 1) % kTimerGrid;
  const TimerId id = ++timers_->last_id;
  timers_->by_time.emplace(std::pair(when, id), std::move(task));
  timers_->when.emplace(id, when);
  if (machine_ && when < timers_->armed_for && OnThisThread()) ArmTimer();
  return id;
}

void Loop::Cancel(TimerId id) {
  const auto it = timers_->when.find(id);
  if (it == timers_->when.end()) return;
  timers_->by_time.erase({it->second, id});
  timers_->when.erase(it);
}

void Loop::FireTimers() {
  // One that a timer sets waits for the next turn even if it is due: its owner may compare with
  // wake_time(), which does not move on before, and would set it again for ever.
  const TimerId last = timers_->last_id;
  auto it = timers_->by_time.begin();
  while (it != timers_->by_time.end() && it->first.first <= now_) {
    const auto key = it->first;
    if (key.second <= last) {
      Task task = std::move(it->second);
      timers_->when.erase(key.second);
      timers_->by_time.erase(it);
      task();
    }
    it = timers_->by_time.upper_bound(key);
  }
}

void Loop::ArmTimer() {
  const Time next = timers_->by_time.empty() ? kNever : timers_->by_time.begin()->first.first;
  if (next == timers_->armed_for) return;
  // An earlier expiry that is armed already only wakes the loop once for nothing.
  if (timers_->armed_for != kNever && next > timers_->armed_for && timers_->armed_for > now_)
    return;
  timers_->armed_for = next;
  if (next == kNever) return;
  boost::asio::steady_timer& timer = machine_->timer;
  timer.expires_after(std::chrono::microseconds(std::max<Micros>(next - now_, 0)));
  timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) timers_->armed_for = kNever;
  });
}

}  // namespace coppice::io
