#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/client/endpoints.h"
#include "common/client/retry.h"
#include "common/client/session_revision.h"
#include "common/client/types.h"
#include "common/client/watch_resume.h"

namespace coppice::client {

struct CoreOptions {
  std::size_t endpoints = 0;
  Prefer prefer = Prefer::kLeastBusy;
  BackoffOptions backoff{};
  // A watch that is not open after this time, and a read that is not answered, is tried elsewhere;
  // a read only if there is an elsewhere. Doubles with each pass over the endpoints. A mutation
  // waits until its deadline: it must not be sent twice.
  Micros attempt_timeout = 3 * kSecond;
  // A request gives up when this many passes over the endpoints reached none of them; 0: it goes on
  // until its deadline. A watch that has been open goes on in any case.
  std::uint32_t unreached_passes_max = 0;
};

// The client library without its connections: chooses endpoints, repeats what may be repeated,
// keeps the session's revision and resumes watches (design: the shape of common/raft's core).
//
//   Begin -> Send -> Answered                        -> Finish(kOk)
//                 -> Failed, may be repeated         -> Send to the next endpoint; when all have
//                                                       been tried, after a pause
//                 -> Failed, final or out of time    -> Finish(kNotDone or kUnknown)
//   of a watch:   -> WatchReceived ...               -> WatchOpened, WatchDeliver ..., Finish
//
// Pure: no I/O, clock, thread or randomness of its own; the same inputs give the same effects. The
// driver carries out the effects in order, gives the time, and puts in Timer when NextDeadline has
// come. Every Begin is followed by exactly one Finish.
//
// Invariants, checked by core_random_test: a mutation is never sent again unless it was certainly
// not done; kNotDone is never said of one that was; replies in the session never go back in
// revision; a watch has neither gap nor repeat.
class Core {
 public:
  Core(const CoreOptions& options, Rng rng);

  // Appends effects to `out`; cannot fail.
  void Step(Time now, const Input& input, Effects& out);
  Time NextDeadline() const { return due_.empty() ? kNever : due_.begin()->first; }

  const SessionRevision& session() const { return session_; }
  std::size_t requests() const { return requests_.size(); }

 private:
  struct Request {
    Kind kind = Kind::kRead;
    Time deadline = kNever;
    CallOptions options{};
    WatchResume watch{};
    std::uint32_t attempt = 0;  // the newest
    bool sent = false;          // it is on its way
    std::size_t endpoint = 0;   // where to
    Time attempt_until = kNever;
    Time retry_at = kNever;     // a pause between two passes ends
    std::vector<bool> tried{};  // in this pass
    std::uint32_t passes = 0;
    std::uint32_t unreached_passes = 0;
    std::uint32_t late = 0;  // attempts that ran out of their own time
    bool reached = false;    // an endpoint, in this pass
    Status last;             // why the newest attempt failed
    Time due = kNever;       // its place in due_
  };
  using Entry = std::map<RequestId, Request>::iterator;

  void On(const Begin& begin);
  void On(const Answered& answered);
  void On(const Failed& failed);
  void On(const WatchReceived& received);
  void On(const EndpointUp& up);
  void On(const EndpointDown& down);
  void On(const CancelRequest& cancel);
  void On(const Timer& timer);

  Entry FindAttempt(RequestId id, std::uint32_t attempt);
  void Dispatch(Entry entry);
  void SendTo(Entry entry, std::size_t endpoint);
  void EndPass(Entry entry);
  void TryNext(Entry entry);
  void ReopenWatch(Entry entry);
  // Takes the attempt off its endpoint; `abandon`: the driver is to cancel it.
  void EndAttempt(Entry entry, bool abandon);
  void FinishWith(Entry entry, Outcome outcome, Status status, Revision compact_revision = 0);
  void OnDue(Entry entry);
  void Schedule(Entry entry);

  const CoreOptions options_;
  Endpoints endpoints_;
  Rng rng_;
  SessionRevision session_;
  std::map<RequestId, Request> requests_;
  std::set<std::pair<Time, RequestId>> due_;
  // Of the Step that runs.
  Time now_ = 0;
  Effects* out_ = nullptr;
};

}  // namespace coppice::client
