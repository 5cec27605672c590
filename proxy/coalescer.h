#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/api/node.h"
#include "common/base/time.h"

namespace coppice::proxy {

// A request on its way upstream, for one client or for many that asked the same.
struct GroupId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator==(const GroupId&) const = default;
};

// The requests of a loop that wait for an upstream answer, identical reads in one group.
// Identical: method, request bytes, consistency, token and auth revision.
//
// A read may join only a group that has not been written: then the upstream read begins after all
// in it arrived, and a linearizable one stays linearizable. Within a turn identical ones always
// meet. Beyond it only while more than `share_above` are outstanding: then a group that is like
// one in flight gathers until that one returns, or for `gather_max`.
// Each waiter keeps its own deadline; one that gives up changes nothing for the others.
//
// Pure: requests, answers and `now` in; what to send, and calls of repliers, out. No allocation per
// request once warm. Thread: its loop's.
class Coalescer {
 public:
  struct Options {
    std::size_t share_above = 64;
    Micros gather_max = kMillisecond;
  };
  explicit Coalescer(const Options& options);
  ~Coalescer();

  // `shareable`: a read. `auth_revision`: as known when it arrived. The bytes are copied.
  GroupId Add(Time now, const api::Request& request, std::unique_ptr<api::Replier> replier,
              bool shareable, std::uint64_t auth_revision = 0);
  // At the end of a turn: appends the groups to be sent now to `out`; they are written from then
  // on. `outstanding`: requests in flight upstream.
  void Take(Time now, std::size_t outstanding, std::vector<GroupId>& out);
  // When Take has something to do though nothing else happened.
  Time NextDeadline() const;

  // The request of a group, its deadline the latest of its waiters'; null once it is over. The
  // views live as long as the group.
  const api::Request* Find(GroupId id) const;
  std::size_t waiters(GroupId id) const;

  // Leaves a written group its first waiter and gives each other a group of its own, unshared and
  // not written yet: for an answer that is too large to keep a copy for everybody.
  std::vector<GroupId> Scatter(Time now, GroupId id);

  // End the group: each waiter gets the answer.
  void Ok(GroupId id, std::span<const std::string_view> pieces, const api::Served& served);
  // Only for a group of one.
  void Parts(GroupId id, std::uint64_t total, std::unique_ptr<api::PartSource> source);
  void Fail(GroupId id, const Status& status, bool not_proposed = false);

  // Fails the waiters whose deadline has come, each with what `why` says of its group; a group
  // that has none left is over.
  template <typename Why>
  void Expire(Time now, Why why);

  bool gathering() const { return !gathering_.empty(); }  // some are not written yet
  std::size_t groups() const { return groups_.size() - free_groups_.size(); }
  std::size_t requests() const { return waiters_.size() - free_waiters_.size(); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Waiter {
    std::unique_ptr<api::Replier> replier;
    Time deadline = kNever;
    std::uint32_t next = kNone;
  };
  struct Group {
    enum class State : std::uint8_t { kFree, kGathering, kWritten };
    State state = State::kFree;
    bool in_table = false;
    std::uint32_t generation = 1;
    std::uint32_t first = kNone;
    std::uint32_t last = kNone;
    std::uint64_t hash = 0;
    std::uint64_t auth_revision = 0;
    GroupId behind;  // an identical one that was in flight when this one began
    Time began = 0;
    api::Request request;  // its views point into the two below
    std::string bytes;
    std::string token;
  };

  static std::uint64_t HashOf(const api::Request& request, std::uint64_t auth_revision);
  static bool Same(const Group& group, const api::Request& request, std::uint64_t auth_revision);
  std::uint32_t NewGroup(Time now, const api::Request& request, std::uint64_t auth_revision);
  void AddWaiter(Group& group, Time deadline, std::unique_ptr<api::Replier> replier);
  std::uint32_t TakeWaiters(GroupId id);  // ends the group; the first of its waiters
  std::unique_ptr<api::Replier> FreeWaiter(std::uint32_t index, std::uint32_t& next);
  std::unique_ptr<api::Replier> NextExpired(std::uint32_t slot, Time now);
  bool Alive(GroupId id) const;

  // The newest group of each key: open addressing, linear probing.
  std::uint32_t Lookup(std::uint64_t hash, const api::Request& request,
                       std::uint64_t auth_revision) const;
  void Enter(std::uint32_t slot);
  void Leave(std::uint32_t slot);
  void Place(std::uint32_t slot);
  void Grow();

  const Options options_;
  std::deque<Group> groups_;  // a deque: the views in a group must not move
  std::vector<std::uint32_t> free_groups_;
  std::vector<Waiter> waiters_;
  std::vector<std::uint32_t> free_waiters_;
  std::vector<std::uint32_t> gathering_;
  std::vector<std::uint32_t> table_;  // slots of groups; kNone = empty
  std::size_t entered_ = 0;
};

template <typename Why>
void Coalescer::Expire(Time now, Why why) {
  for (std::uint32_t slot = 0; slot < groups_.size(); ++slot) {
    if (groups_[slot].state == Group::State::kFree) continue;
    const GroupId id{slot, groups_[slot].generation};
    while (auto replier = NextExpired(slot, now)) replier->Fail(why(id));
    if (Alive(id) && groups_[slot].first == kNone) TakeWaiters(id);
  }
}

}  // namespace coppice::proxy
