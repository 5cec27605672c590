#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/replica/registration.h"
#include "common/replica/registry.h"

namespace coppice::replica {

// The leader's part of the registry: who was heard of when, in memory only. Joins, changes and
// expiries become entries; renewals never do. A new leader waits a full TTL before it expires
// anyone, for it cannot know what its predecessor heard.
//
// Runs on every voter, and does nothing unless this one leads. Pure; thread: the apply loop, which
// owns the Registry it looks at.
class RegistryKeeper {
 public:
  explicit RegistryKeeper(const Registry& registry) : registry_(registry) {}

  // Each appends to `propose` the payloads of kRegistry entries to be proposed.
  void BecomeLeader(Time now);
  void StepDown();
  void Received(Time now, const RenewBundle& bundle, std::vector<std::string>& propose);
  void Expire(Time now, std::vector<std::string>& propose);
  Time NextDeadline() const;

  bool leading() const { return leading_; }

 private:
  struct Proposed {
    Registration registration;
    Time retry_at = 0;
  };
  Time Deadline(NodeId id, const Registry::Node& node) const;

  const Registry& registry_;
  bool leading_ = false;
  Time since_ = 0;                       // of leadership
  std::map<NodeId, Time> heard_;         // when, by our clock, less the age told
  std::map<NodeId, Proposed> proposed_;  // joins on their way, not to be proposed twice
  std::map<NodeId, Time> expiring_;      // expiries on their way: when to propose anew
};

// A registering node's part: what it and all below it send towards the leader, in bundles.
// It sends its whole registration until it finds it in the registry, then signs of life.
// `registry` is the replicated one (learners) or what the upstream sent (proxies).
// Pure; thread: the core loop, or for learners the apply loop if it is another.
class RegistryRenewer {
 public:
  // A node that does not register itself but relays for others (a follower): no `own`.
  explicit RegistryRenewer(const Registry& registry) : registry_(registry) {}

  void SetOwn(Registration own);  // at start and when it changes: parent, addresses
  void UpstreamChanged(Time now);
  void Received(Time now, const RenewBundle& bundle);  // from below
  // At NextDeadline: what to send upstream; empty if nothing is due. Only while there is an
  // upstream: without one the deadline stays in the past, and what children sent is kept.
  RenewBundle Take(Time now);
  Time NextDeadline() const;

  // Why the registry refuses us (a banned id, a name taken over); empty if it does not.
  std::string Refused() const;

 private:
  struct Heard {
    std::int64_t boot = 0;
    Time at = 0;  // by our clock, less the age told
  };
  bool Registered() const;
  Time OwnDue() const;

  const Registry& registry_;
  Registration own_;
  bool has_own_ = false;
  Time own_sent_at_ = 0;  // 0 = never, or to another upstream
  std::map<NodeId, Heard> renewals_;
  std::map<NodeId, Registration> joins_;
  Time bundle_due_ = kNever;
};

}  // namespace coppice::replica
