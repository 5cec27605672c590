#include "proxy/coalescer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/base/rng.h"

namespace coppice::proxy {
namespace {

constexpr std::size_t kFirstTableSize = 256;
constexpr std::size_t kKeptBytesMax = 4096;  // of a group's buffers between requests

}  // namespace

Coalescer::Coalescer(const Options& options) : options_(options), table_(kFirstTableSize, kNone) {}

Coalescer::~Coalescer() {
  for (Waiter& waiter : waiters_) {
    if (waiter.replier) {
      waiter.replier->Fail(MakeStatus(StatusCode::kUnavailable, "etcdserver: server stopped"));
    }
  }
}

std::uint64_t Coalescer::HashOf(const api::Request& request, std::uint64_t auth_revision) {
  const std::hash<std::string_view> hash;
  std::uint64_t h = hash(request.bytes);
  h ^= Mix64((static_cast<std::uint64_t>(request.method) << 32 |
              static_cast<std::uint64_t>(request.consistency.mode)) +
             auth_revision);
  if (!request.token.empty()) h = Mix64(h ^ hash(request.token));
  return h;
}

bool Coalescer::Same(const Group& group, const api::Request& request, std::uint64_t auth_revision) {
  return group.request.method == request.method && group.auth_revision == auth_revision &&
         group.request.consistency == request.consistency && group.request.bytes == request.bytes &&
         group.request.token == request.token;
}

bool Coalescer::Alive(GroupId id) const {
  return id.slot < groups_.size() && groups_[id.slot].generation == id.generation &&
         groups_[id.slot].state != Group::State::kFree;
}

GroupId Coalescer::Add(Time now, const api::Request& request, std::unique_ptr<api::Replier> replier,
                       bool shareable, std::uint64_t auth_revision) {
  if (!shareable) {
    const std::uint32_t slot = NewGroup(now, request, auth_revision);
    AddWaiter(groups_[slot], request.deadline, std::move(replier));
    return {slot, groups_[slot].generation};
  }
  const std::uint64_t hash = HashOf(request, auth_revision);
  const std::uint32_t found = Lookup(hash, request, auth_revision);
  if (found != kNone &&
      (groups_[found].state == Group::State::kGathering || COPPICE_MUTANT(kJoinSentRead))) {
    Group& group = groups_[found];
    group.request.deadline = std::max(group.request.deadline, request.deadline);
    group.request.hops = std::max(group.request.hops, request.hops);
    AddWaiter(group, request.deadline, std::move(replier));
    return {found, group.generation};
  }
  const std::uint32_t slot = NewGroup(now, request, auth_revision);
  Group& group = groups_[slot];
  group.hash = hash;
  if (found != kNone) {
    group.behind = {found, groups_[found].generation};
    Leave(found);
  }
  Enter(slot);
  AddWaiter(group, request.deadline, std::move(replier));
  return {slot, group.generation};
}

void Coalescer::Take(Time now, std::size_t outstanding, std::vector<GroupId>& out) {
  std::size_t kept = 0;
  for (const std::uint32_t slot : gathering_) {
    Group& group = groups_[slot];
    if (group.state != Group::State::kGathering) continue;  // its waiters gave up
    if (outstanding > options_.share_above && Alive(group.behind) &&
        now < group.began + options_.gather_max) {
      gathering_[kept++] = slot;
      continue;
    }
    group.state = Group::State::kWritten;
    out.push_back({slot, group.generation});
  }
  gathering_.resize(kept);
}

Time Coalescer::NextDeadline() const {
  Time next = kNever;
  for (const std::uint32_t slot : gathering_) {
    next = std::min(next, groups_[slot].began + options_.gather_max);
  }
  return next;
}

const api::Request* Coalescer::Find(GroupId id) const {
  return Alive(id) ? &groups_[id.slot].request : nullptr;
}

std::size_t Coalescer::waiters(GroupId id) const {
  std::size_t count = 0;
  if (!Alive(id)) return count;
  for (std::uint32_t i = groups_[id.slot].first; i != kNone; i = waiters_[i].next) ++count;
  return count;
}

void Coalescer::Ok(GroupId id, std::span<const std::string_view> pieces,
                   const api::Served& served) {
  std::uint32_t next = TakeWaiters(id);
  while (next != kNone) FreeWaiter(next, next)->Ok(pieces, served);
}

std::vector<GroupId> Coalescer::Scatter(Time now, GroupId id) {
  std::vector<GroupId> scattered;
  if (waiters(id) < 2) return scattered;
  Group& group = groups_[id.slot];
  std::uint32_t next = std::exchange(waiters_[group.first].next, kNone);
  group.last = group.first;
  while (next != kNone) {
    api::Request request = group.request;
    request.deadline = waiters_[next].deadline;
    auto replier = FreeWaiter(next, next);
    const std::uint32_t slot = NewGroup(now, request, group.auth_revision);
    AddWaiter(groups_[slot], request.deadline, std::move(replier));
    scattered.push_back({slot, groups_[slot].generation});
  }
  return scattered;
}

void Coalescer::Parts(GroupId id, std::uint64_t total, std::unique_ptr<api::PartSource> source) {
  std::uint32_t next = TakeWaiters(id);
  if (next == kNone) return;
  COPPICE_CHECK(waiters_[next].next == kNone, "parts are taken once");
  FreeWaiter(next, next)->Parts(total, std::move(source));
}

void Coalescer::Fail(GroupId id, const Status& status, bool not_proposed) {
  std::uint32_t next = TakeWaiters(id);
  while (next != kNone) {
    const auto replier = FreeWaiter(next, next);
    not_proposed ? replier->FailNotProposed(status) : replier->Fail(status);
  }
}

std::uint32_t Coalescer::NewGroup(Time now, const api::Request& request,
                                  std::uint64_t auth_revision) {
  std::uint32_t slot = 0;
  if (free_groups_.empty()) {
    slot = static_cast<std::uint32_t>(groups_.size());
    groups_.emplace_back();
  } else {
    slot = free_groups_.back();
    free_groups_.pop_back();
  }
  Group& group = groups_[slot];
  group.state = Group::State::kGathering;
  group.auth_revision = auth_revision;
  group.behind = {};
  group.began = now;
  group.bytes.assign(request.bytes);
  group.token.assign(request.token);
  group.request = request;
  group.request.bytes = group.bytes;
  group.request.token = group.token;
  gathering_.push_back(slot);
  return slot;
}

void Coalescer::AddWaiter(Group& group, Time deadline, std::unique_ptr<api::Replier> replier) {
  std::uint32_t index = 0;
  if (free_waiters_.empty()) {
    index = static_cast<std::uint32_t>(waiters_.size());
    waiters_.emplace_back();
  } else {
    index = free_waiters_.back();
    free_waiters_.pop_back();
  }
  waiters_[index] = {std::move(replier), deadline, kNone};
  (group.last == kNone ? group.first : waiters_[group.last].next) = index;
  group.last = index;
}

// Repliers may call back into Add, so the group is over before the first of them is called.
std::uint32_t Coalescer::TakeWaiters(GroupId id) {
  if (!Alive(id)) return kNone;
  Group& group = groups_[id.slot];
  if (group.in_table) Leave(id.slot);
  if (group.state == Group::State::kGathering) std::erase(gathering_, id.slot);
  const std::uint32_t first = group.first;
  group.first = group.last = kNone;
  group.state = Group::State::kFree;
  ++group.generation;
  if (group.bytes.capacity() > kKeptBytesMax) group.bytes = {};
  free_groups_.push_back(id.slot);
  return first;
}

std::unique_ptr<api::Replier> Coalescer::FreeWaiter(std::uint32_t index, std::uint32_t& next) {
  next = waiters_[index].next;
  free_waiters_.push_back(index);
  return std::move(waiters_[index].replier);
}

std::unique_ptr<api::Replier> Coalescer::NextExpired(std::uint32_t slot, Time now) {
  Group& group = groups_[slot];
  std::uint32_t previous = kNone;
  for (std::uint32_t i = group.first; i != kNone; previous = i, i = waiters_[i].next) {
    if (waiters_[i].deadline > now) continue;
    std::uint32_t next = kNone;
    auto replier = FreeWaiter(i, next);
    (previous == kNone ? group.first : waiters_[previous].next) = next;
    if (group.last == i) group.last = previous;
    return replier;
  }
  return nullptr;
}

std::uint32_t Coalescer::Lookup(std::uint64_t hash, const api::Request& request,
                                std::uint64_t auth_revision) const {
  const std::size_t mask = table_.size() - 1;
  for (std::size_t at = hash & mask; table_[at] != kNone; at = (at + 1) & mask) {
    const Group& group = groups_[table_[at]];
    if (group.hash == hash && Same(group, request, auth_revision)) return table_[at];
  }
  return kNone;
}

void Coalescer::Place(std::uint32_t slot) {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = groups_[slot].hash & mask;
  while (table_[at] != kNone) at = (at + 1) & mask;
  table_[at] = slot;
}

void Coalescer::Enter(std::uint32_t slot) {
  if (2 * ++entered_ > table_.size()) Grow();
  groups_[slot].in_table = true;
  Place(slot);
}

void Coalescer::Grow() {
  std::vector<std::uint32_t> old(table_.size() * 2, kNone);
  old.swap(table_);
  for (const std::uint32_t slot : old) {
    if (slot != kNone) Place(slot);
  }
}

// Removal by shifting back (Knuth, The Art of Computer Programming, 6.4, algorithm R): a gap would
// cut the probes of those behind it.
void Coalescer::Leave(std::uint32_t slot) {
  const std::size_t mask = table_.size() - 1;
  std::size_t gap = groups_[slot].hash & mask;
  while (table_[gap] != slot) gap = (gap + 1) & mask;
  groups_[slot].in_table = false;
  --entered_;
  for (std::size_t at = (gap + 1) & mask; table_[at] != kNone; at = (at + 1) & mask) {
    const std::size_t home = groups_[table_[at]].hash & mask;
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    table_[gap] = table_[at];
    gap = at;
  }
  table_[gap] = kNone;
}

}  // namespace coppice::proxy
