#include "common/client/driver.h"

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "common/base/check.h"

namespace coppice::client {
namespace {

std::uint64_t Seed() {
  return Mix64(static_cast<std::uint64_t>(Now())) ^ static_cast<std::uint64_t>(getpid());
}

RequestId IdOf(const Effect& effect) {
  return std::visit([](const auto& one) { return one.id; }, effect);
}

}  // namespace

Time Now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * kSecond + now.tv_nsec / 1000;
}

Driver::Driver(const CoreOptions& options, const std::vector<std::string>& endpoints)
    : core_(options, Rng(Seed())) {
  for (const std::string& endpoint : endpoints) {
    stubs_.push_back(std::make_unique<const Stubs>(endpoint));
  }
  timer_ = std::thread([this] { RunTimer(); });
}

Driver::~Driver() {
  {
    absl::MutexLock lock(&mutex_);
    COPPICE_CHECK(mailboxes_.empty(), "a client outlives its calls and watchers");
    closing_ = true;
    timer_changed_.Signal();
  }
  timer_.join();
}

void Driver::Start(Begin begin, Mailbox& mailbox) {
  absl::MutexLock lock(&mutex_);
  begin.id = mailbox.id = ++last_id_;
  mailboxes_.emplace(begin.id, &mailbox);
  StepLocked(begin);
}

void Driver::Put(const Input& input) {
  absl::MutexLock lock(&mutex_);
  StepLocked(input);
}

void Driver::StepLocked(const Input& input) {
  const Time deadline = core_.NextDeadline();
  Effects effects;
  core_.Step(Now(), input, effects);
  for (Effect& effect : effects) {
    const auto found = mailboxes_.find(IdOf(effect));
    Mailbox& mailbox = *found->second;
    if (std::holds_alternative<Abandon>(effect) && mailbox.running != nullptr) {
      mailbox.running->TryCancel();
    }
    if (std::holds_alternative<Finish>(effect)) mailboxes_.erase(found);
    mailbox.effects.push_back(std::move(effect));
    mailbox.arrived.Signal();
  }
  if (core_.NextDeadline() < deadline) timer_changed_.Signal();
}

Effect Driver::Take(Mailbox& mailbox) {
  absl::MutexLock lock(&mutex_);
  while (mailbox.effects.empty()) mailbox.arrived.Wait(&mutex_);
  Effect effect = std::move(mailbox.effects.front());
  mailbox.effects.pop_front();
  return effect;
}

bool Driver::HasEffects(Mailbox& mailbox) {
  absl::MutexLock lock(&mutex_);
  return !mailbox.effects.empty();
}

void Driver::SetRunning(Mailbox& mailbox, grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  mailbox.running = context;
  // Whoever runs an attempt has taken all effects before; what is there now ends the attempt.
  if (context != nullptr && !mailbox.effects.empty()) context->TryCancel();
}

SessionRevision Driver::session() {
  absl::MutexLock lock(&mutex_);
  return core_.session();
}

void Driver::RunTimer() {
  absl::MutexLock lock(&mutex_);
  while (!closing_) {
    const Time deadline = core_.NextDeadline();
    const Time now = Now();
    if (deadline <= now) {
      StepLocked(Timer{});
    } else if (deadline == kNever) {
      timer_changed_.Wait(&mutex_);
    } else {
      timer_changed_.WaitWithTimeout(&mutex_, absl::Microseconds(deadline - now));
    }
  }
}

void Prepare(const Send& send, grpc::ClientContext& context) {
  if (send.deadline != kNever) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::microseconds(send.deadline - Now()));
  }
  for (const auto& [name, value] : send.metadata) context.AddMetadata(name, value);
}

Failed FailedBy(const Send& send, const grpc::Status& status, const Stubs& stubs) {
  // absl's codes are gRPC's.
  return {send.id, send.attempt,
          MakeStatus(static_cast<StatusCode>(status.error_code()), status.error_message()),
          /*not_sent=*/false, /*unreached=*/!stubs.connected_now()};
}

Failed NotConnected(const Send& send, const Stubs& stubs) {
  return {send.id, send.attempt,
          MakeStatus(StatusCode::kUnavailable, "cannot connect to " + stubs.endpoint),
          /*not_sent=*/true, /*unreached=*/true};
}

}  // namespace coppice::client
