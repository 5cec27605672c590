#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/client/core.h"
#include "common/client/stubs.h"

namespace coppice::client {

// CLOCK_BOOTTIME.
Time Now();

// Where one request's effects arrive. Its members are the driver's.
struct Mailbox {
  RequestId id = 0;
  std::deque<Effect> effects{};
  absl::CondVar arrived{};
  grpc::ClientContext* running = nullptr;  // what an Abandon cancels
};

// The core behind a mutex, its timer, and the connections. Requests run in their callers' threads:
// each takes its effects from its own mailbox and does them.
//
// Thread: any. Owns one thread, for the core's timer. No lock is held over a call.
class Driver {
 public:
  Driver(const CoreOptions& options, const std::vector<std::string>& endpoints);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Gives `begin` an id and puts it in. The mailbox must outlive the request's Finish.
  void Start(Begin begin, Mailbox& mailbox);
  void Put(const Input& input);
  // The next effect; waits for it.
  Effect Take(Mailbox& mailbox);
  bool HasEffects(Mailbox& mailbox);
  // `context` is that of the attempt that runs now; null: none does. Canceled when the core
  // abandons the attempt, even if it did so before.
  void SetRunning(Mailbox& mailbox, grpc::ClientContext* context);

  const Stubs& stubs(std::size_t endpoint) const { return *stubs_[endpoint]; }
  std::size_t endpoints() const { return stubs_.size(); }
  SessionRevision session();

 private:
  void StepLocked(const Input& input) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunTimer();

  std::vector<std::unique_ptr<const Stubs>> stubs_;  // constant after construction
  absl::Mutex mutex_;
  Core core_ ABSL_GUARDED_BY(mutex_);
  std::map<RequestId, Mailbox*> mailboxes_ ABSL_GUARDED_BY(mutex_);
  RequestId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::CondVar timer_changed_;
  std::thread timer_;
};

// Sets the deadline and the metadata of `send`.
void Prepare(const Send& send, grpc::ClientContext& context);
// What the core is told of a call that failed.
Failed FailedBy(const Send& send, const grpc::Status& status, const Stubs& stubs);
Failed NotConnected(const Send& send, const Stubs& stubs);

}  // namespace coppice::client
