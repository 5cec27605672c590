#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/mvcc/store.h"
#include "common/replica/registration.h"

// What a process's io loops and its core loop say to each other. Everything crosses by value in one
// post per turn and direction; in the one-loop form it is a plain call.
namespace coppice::node {

// A member of the cluster as the registry and the configuration show it.
using Members = std::vector<replica::Registration>;

// What the core knows and io loops answer from, published when it changes. Immutable.
struct Facts {
  std::uint64_t cluster_id = 0;
  NodeId node;
  NodeId leader;           // 0 = unknown
  bool is_leader = false;  // this process is it: writes are proposed here
  bool confirmed = true;   // a read round completed within 3 election timeouts (`hasleader`)
  bool learner = false;    // this process is a read learner
  bool ready = false;
  bool draining = false;
  Term term;  // the highest seen
  Index commit;
  std::shared_ptr<const Members> members;  // voters and what is registered
  std::uint64_t registry_version = 0;
  std::shared_ptr<const std::string> registry;  // its contents, as frame kRegistry carries them
  NodeId parent;                                // whose log this learner tails; 0 = none
  Index known_commit;                           // the newest committed entry it has heard of
  std::vector<std::pair<NodeId, mvcc::AlarmType>> alarms;
};
using FactsPtr = std::shared_ptr<const Facts>;

// A command on its way into the log.
struct WriteIntent {
  std::uint64_t token = 0;  // the io loop's name for it
  std::string payload;      // mvcc::EncodeCommand
  std::uint32_t payload_crc = 0;
};

struct WriteOutcome {
  enum class Kind : std::uint8_t {
    kApplied,      // `result` has the answer
    kNotProposed,  // certainly not in the log: it may be sent elsewhere
    kBusy,         // not in the log: the queue is full
    kUnknown,      // was in the log of a leader that stepped down; another entry took its place
  };
  std::uint64_t token = 0;
  Kind kind = Kind::kUnknown;
  Term term;
  mvcc::CommandResult result;
};

// What io loops ask of the core. Any io loop's thread.
class CorePort {
 public:
  virtual ~CorePort() = default;
  // Loop `loop` moved its waiting reads into asked[slot].
  virtual void ReadsWait(int loop, int slot) = 0;
  virtual void Propose(int loop, std::vector<WriteIntent> intents) = 0;
  // Hands leadership to that voter, if this process leads; who leads then shows in the facts.
  virtual void MoveLeader(NodeId to) = 0;
  // Gives the store's unused space back, in the background; Defragmented follows on every loop.
  virtual void Defragment() = 0;
  // The loop has watchers (or none any more): whether it wants Events.
  virtual void WantEvents(int loop, bool wanted) = 0;
  // Signs of life that came over one of loop `loop`'s connections, on their way to the leader.
  virtual void Renewals(int loop, replica::RenewBundle bundle) = 0;
};

// What the core tells an io loop. On that loop's thread.
class IoPort {
 public:
  virtual ~IoPort() = default;
  // The reads in asked[slot] may be served: what they wait for is applied and published.
  virtual void ServeAsked(int slot) = 0;
  // A newer view is out: `revision` is the newest that it added (0: none), `events` the batches, if
  // this loop wants them. The view itself may be seen before.
  virtual void ViewPublished(Revision revision, const std::vector<mvcc::EventBatchPtr>& events) = 0;
  virtual void WritesDone(std::vector<WriteOutcome> outcomes) = 0;
  virtual void Defragmented(const Status& status) = 0;
  virtual void FactsChanged(const FactsPtr& facts) = 0;
};

}  // namespace coppice::node
