#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "loadgen/sim/coverage.h"

// What simulated clients see of the simulated world, and what the checkers get after a run. The
// world drives a Workload; a Workload never touches a process except through a Call, which goes
// over the simulated network into the process's gRPC edge (api::Edge, api::WatchEdge).
// Everything runs on one thread, in the order of (time, sequence).
namespace coppice::sim {

enum class Tier : std::uint8_t { kVoter, kLearner, kProxy };

// A client address of a process. It keeps its index for the whole run, up or down.
struct Endpoint {
  std::string name;  // v1.., l1.., p1..
  Tier tier = Tier::kVoter;
};

// How a call ended; exactly once, after the last message.
struct CallEnd {
  Status status;
  std::vector<std::pair<std::string, std::string>> trailers;
  // Nothing of it reached the process: refused, or the connection never opened. Any other
  // Unavailable, DeadlineExceeded or Cancelled leaves a mutation's outcome unknown.
  bool certainly_not_sent = false;
  // Of a call that was not answered: when the other end of its connection was last heard.
  Time heard_at = 0;
};

class CallEvents {
 public:
  virtual ~CallEvents() = default;
  virtual void OnMessage(std::string_view message) = 0;
  virtual void OnEnd(const CallEnd& end) = 0;
};

// The request headers. Empty strings are not sent.
struct CallOptions {
  std::string path;           // "/etcdserverpb.KV/Range"
  std::string consistency;    // coppice-consistency
  std::string max_staleness;  // coppice-max-staleness
  std::string min_revision;   // coppice-min-revision
  std::string token;
  bool has_leader = false;
  Micros timeout = 0;  // grpc-timeout, by the client's clock; 0: none
};

// The client's end of a call, unary or streaming. Destroying it cancels the call: no event follows.
// May be destroyed from within its events.
class Call {
 public:
  virtual ~Call() = default;
  virtual void Send(std::string message) = 0;
  virtual void HalfClose() = 0;
  // false: the client stops reading, so that the server's unsent bytes pile up.
  virtual void SetReading(bool reading) = 0;
};

// What one client has: a machine with a clock of its own, and addresses.
class ClientWorld {
 public:
  using TimerId = std::uint64_t;
  virtual ~ClientWorld() = default;
  virtual int index() const = 0;      // 0..clients-1
  virtual Time TrueNow() const = 0;   // the simulation's own time: for records and checkers only
  virtual Time LocalNow() const = 0;  // the client's clock
  virtual Rng& rng() = 0;             // a stream of this client alone
  virtual TimerId After(Micros delay, std::function<void()> task) = 0;  // by the client's clock
  virtual void Cancel(TimerId id) = 0;
  virtual const std::vector<Endpoint>& endpoints() const = 0;
  // The connection to an endpoint is made by the first call and shared by later ones; when it is
  // lost all its calls end as Unavailable.
  virtual std::unique_ptr<Call> Open(int endpoint, const CallOptions& options,
                                     CallEvents& events) = 0;
};

// A run goes through these in order.
enum class Phase : std::uint8_t {
  kWarmUp,    // no faults
  kFaults,    // a random subset of faults
  kHealed,    // no faults any more; clients go on
  kSettling,  // clients begin nothing new; what is pending must end, watchers must catch up
};

struct WorkloadOptions {
  std::uint64_t seed = 0;
  int clients = 3;
  int voters = 1;
  int learners = 0;
  int proxies = 1;
  // Of all clients together, when nothing is in their way.
  double operations_per_second = 60;
  // Watch streams that stay unread to the end (plan.h).
  int stalled_watchers = 0;
  // What `--shrink` left out: operations whose number is not below this are not begun.
  std::uint64_t operations_max = UINT64_MAX;
};

// The committed log as one voter has it.
struct VoterLog {
  std::string name;
  Index first;                    // of `entries`
  std::vector<EntryPtr> entries;  // up to the voter's commit index
};

// A process that holds a store, after the run.
struct StoreState {
  std::string name;
  Tier tier = Tier::kVoter;
  NodeId id;
  Index applied;
  std::int64_t revision = 0;
  std::int64_t compact_revision = 0;
  std::uint32_t hash = 0;  // HashKV of `revision`
};

// What is known after a run.
struct Aftermath {
  std::vector<VoterLog> logs;      // every voter's that is up; the longest first
  std::vector<StoreState> stores;  // every voter and learner that is up
  // The slowest and the fastest clock of a process against true time: a duration D measured by a
  // process is between D / clock_rate_max and D / clock_rate_min in true time.
  double clock_rate_min = 1;
  double clock_rate_max = 1;
  // How long events may take to a client that reads, in quiet times (plan.h); 0: not judged.
  Micros delivery_max = 0;
};

struct Violation {
  std::string property;  // "L1", "W10", ...
  std::string what;      // the operation, the revisions, and the trace around it
};

// The clients of a run and what checks them. One per run.
class Workload {
 public:
  virtual ~Workload() = default;
  // The worlds outlive the workload.
  virtual void Start(const std::vector<ClientWorld*>& clients) = 0;
  virtual void OnPhase(Phase phase) = 0;
  // In kSettling: nothing is pending, and every watcher has reached the highest revision that was
  // acknowledged. Asked every 100 ms or so.
  virtual bool Settled() const = 0;
  // What is not settled, in a line, for the report of a liveness violation.
  virtual std::string Unsettled() const = 0;
  // Operations that ended in success; too few make the run invalid.
  virtual std::uint64_t Succeeded() const = 0;
  // Violations seen while running (at most a few); asked now and then, so that a run ends early.
  virtual const std::vector<Violation>& Violations() const = 0;
  // All checkers, over the whole run. Not called if the world itself found a violation that leaves
  // no log to compare with.
  virtual std::vector<Violation> Check(const Aftermath& aftermath) = 0;
  virtual void Count(Coverage& coverage) const = 0;
  // Of everything the clients saw, in order: part of the trace hash.
  virtual std::uint64_t Digest() const = 0;
};

std::unique_ptr<Workload> MakeWorkload(const WorkloadOptions& options);

}  // namespace coppice::sim
