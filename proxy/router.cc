#include "proxy/router.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/mutant.h"

namespace coppice::proxy {
namespace {

using replica::NodeRole;
using replica::NodeState;

// Reasons not to choose one for a read, each worse than all before it together.
constexpr std::uint32_t kLacksRevision = 1;
constexpr std::uint32_t kMissesBound = 2;
constexpr std::uint32_t kCutOffButMaySay = 4;  // cut off, and the read does not mind
constexpr std::uint32_t kVoter = 8;
constexpr std::uint32_t kCutOff = 16;
constexpr std::uint32_t kNotReady = 32;
constexpr std::uint32_t kSilent = 64;
constexpr std::uint32_t kAvoided = 128;
constexpr std::uint32_t kUnusable = UINT32_MAX;

constexpr double kLatencyWeight = 1.0 / 16;  // of a new measurement
constexpr double kLatencyFactor = 1.5;
constexpr std::uint32_t kCpuStep = 100;  // permille; smaller differences do not matter

}  // namespace

Router::Router(const RouterOptions& options, Rng rng) : options_(options), rng_(rng) {}

BackendId Router::Add() {
  BackendId id = 0;
  while (id < backends_.size() && backends_[id].exists) ++id;
  if (id == backends_.size()) backends_.emplace_back();
  backends_[id] = {};
  backends_[id].exists = true;
  return id;
}

void Router::Remove(BackendId id) {
  backends_[id] = {};
  if (current_ == id) current_ = kNobody;
  turns_choice_.reset();
}

void Router::Up(BackendId id) {
  backends_[id].up = true;
  backends_[id].heard = false;
}

void Router::Down(BackendId id) {
  backends_[id].up = false;
  backends_[id].heard = false;
  backends_[id].outstanding = 0;
  if (current_ == id) current_ = kNobody;
  turns_choice_.reset();
}

void Router::Heard(BackendId id, const NodeState& state, Time now) {
  Backend& backend = backends_[id];
  COPPICE_DCHECK(backend.exists);
  backend.heard = true;
  backend.state = state;
  backend.heard_at = now;
  backend.elsewhere =
      state.outstanding > backend.outstanding ? state.outstanding - backend.outstanding : 0;
  turns_choice_.reset();
}

void Router::GoingAway(BackendId id) {
  backends_[id].state.draining = true;
  turns_choice_.reset();
}

void Router::BeginTurn(Time now) {
  now_ = now;
  turns_choice_.reset();
}

void Router::SetOutstanding(BackendId id, std::size_t outstanding) {
  backends_[id].outstanding = static_cast<std::uint32_t>(outstanding);
}

void Router::Answered(BackendId id, Micros latency, Time now) {
  Backend& backend = backends_[id];
  const auto sample = static_cast<double>(latency);
  const bool fresh = now - backend.latency_at <= options_.latency_memory;
  backend.latency = fresh ? backend.latency + (sample - backend.latency) * kLatencyWeight : sample;
  backend.latency_at = now;
}

bool Router::Silent(const Backend& backend) const {
  return now_ - backend.heard_at > options_.silence_max;
}

Micros Router::Believed(const Backend& backend) const {
  if (backend.state.staleness < 0) return -1;
  return backend.state.staleness + std::max<Micros>(now_ - backend.heard_at, 0);
}

bool Router::CutOff(const Backend& backend) const {
  const Micros staleness = Believed(backend);
  return staleness < 0 || staleness > options_.cut_off_after;
}

bool Router::Fresher(const Backend& backend, BackendId than) const {
  const Micros staleness = Believed(backend);
  if (staleness < 0 || Silent(backend)) return false;
  if (!Usable(than) && !CutOff(backend)) return true;
  const Micros theirs = Believed(backends_[than]);
  return theirs < 0 || staleness + options_.fresher_by < theirs;
}

bool Router::Recent(const Backend& backend) const {
  return now_ - backend.latency_at <= options_.latency_memory;
}

bool Router::LatencyTooHigh(const Backend& backend, double best) const {
  return Recent(backend) && backend.latency > best * kLatencyFactor &&
         backend.latency - best > static_cast<double>(options_.latency_slack);
}

bool Router::Talks(const Backend& backend) {
  return backend.up && backend.heard && !backend.state.draining;
}

bool Router::Usable(BackendId id) const {
  return Talks(backends_[id]) && backends_[id].state.ready;
}

// Ready means fresh: what may be as stale as this one is needs no more than its state.
bool Router::MayServe(BackendId id, const Want& want) const {
  const Backend& backend = backends_[id];
  if (!Talks(backend) || (want.fresher_than && !Fresher(backend, *want.fresher_than))) return false;
  if (backend.state.ready) return true;
  const Micros staleness = Believed(backend);
  if (staleness < 0 || backend.state.revision < want.min_revision) return false;
  if (want.spread) return !want.fresher_than;
  return want.mode != ReadMode::kLinearizable &&
         (want.max_staleness < 0 || staleness <= want.max_staleness);
}

bool Router::Silent(BackendId id) const {
  return backends_[id].up && backends_[id].heard && Silent(backends_[id]);
}

bool Router::SpokeLately(BackendId id) const {
  const Backend& backend = backends_[id];
  return backend.up && backend.heard && now_ - backend.heard_at <= options_.cut_off_after;
}

bool Router::Fresh(BackendId id) const {
  return !CutOff(backends_[id]);
}

Micros Router::BelievedStaleness(BackendId id) const {
  return Believed(backends_[id]);
}

const NodeState* Router::StateOf(BackendId id) const {
  return backends_[id].heard ? &backends_[id].state : nullptr;
}

std::size_t Router::usable() const {
  std::size_t count = 0;
  for (BackendId id = 0; id < backends_.size(); ++id) count += Usable(id) ? 1 : 0;
  return count;
}

std::optional<BackendId> Router::Choose(const Want& want, std::optional<BackendId> avoid) {
  if (want.leader) return ChooseForLeader(avoid);
  const bool common =
      want.plain() && want.mode == ReadMode::kLinearizable && !want.spread && !avoid;
  if (!common) return ChooseForRead(want, avoid);
  if (!turns_choice_) turns_choice_ = ChooseForRead(want, avoid);
  return turns_choice_;
}

std::uint32_t Router::RankForRead(const Backend& backend, const Want& want) const {
  std::uint32_t rank = 0;
  if (backend.state.role == NodeRole::kVoter) {
    rank |= kVoter;
    if (want.spread && CutOff(backend)) rank |= kCutOff;
  } else if (CutOff(backend)) {
    rank |= want.mode == ReadMode::kSerializable ? kCutOffButMaySay : kCutOff;
  }
  const Micros staleness = Believed(backend);
  const bool misses = staleness < 0 || staleness > want.max_staleness;
  if (want.max_staleness >= 0 && misses && !COPPICE_MUTANT(kServePastBound)) {
    rank |= kMissesBound;
  }
  if (backend.state.revision < want.min_revision) rank |= kLacksRevision;
  if (!backend.state.ready) rank |= kNotReady;
  if (Silent(backend)) rank |= kSilent;
  return rank;
}

bool Router::Lighter(const Backend& a, const Backend& b) const {
  if (Load(a) != Load(b)) return Load(a) < Load(b);
  return a.state.cpu_permille / kCpuStep < b.state.cpu_permille / kCpuStep;
}

std::optional<BackendId> Router::ChooseForRead(const Want& want, std::optional<BackendId> avoid) {
  std::uint32_t best_rank = kUnusable;
  std::uint32_t current_rank = kUnusable;
  std::uint32_t least = kNobody;
  double best_latency = 0;
  const auto count = static_cast<std::uint32_t>(backends_.size());
  // Where to begin differs between loops and proxies, so that equals share their first choices.
  const auto first = count == 0 ? 0 : static_cast<std::uint32_t>(rng_.Below(count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t id = (first + i) % count;
    const Backend& backend = backends_[id];
    if (!MayServe(id, want)) continue;
    const std::uint32_t rank = RankForRead(backend, want) | (avoid == id ? kAvoided : 0);
    if (id == current_) current_rank = rank;
    if (rank > best_rank) continue;
    if (rank < best_rank) {
      best_rank = rank;
      least = kNobody;
      best_latency = 0;
    }
    if (least == kNobody || Lighter(backend, backends_[least])) least = id;
    if (Recent(backend) && (best_latency == 0 || backend.latency < best_latency)) {
      best_latency = backend.latency;
    }
  }
  if (least == kNobody) return std::nullopt;
  if (want.spread) return least;
  const bool stay = current_rank == best_rank &&
                    Load(backends_[current_]) <= Load(backends_[least]) + options_.slack &&
                    !LatencyTooHigh(backends_[current_], best_latency);
  if (stay) return current_;
  if (!avoid) current_ = least;
  return least;
}

std::optional<BackendId> Router::Leader() const {
  std::uint32_t found = kNobody;
  for (std::uint32_t id = 0; id < backends_.size(); ++id) {
    const NodeState& state = backends_[id].state;
    if (!Usable(id) || state.role != NodeRole::kVoter) continue;
    if (state.leader != state.id || state.id == NodeId(0)) continue;
    if (found == kNobody || state.term > backends_[found].state.term) found = id;
  }
  if (found == kNobody) return std::nullopt;
  return found;
}

std::optional<BackendId> Router::ChooseForLeader(std::optional<BackendId> avoid) const {
  const std::optional<BackendId> leader = Leader();
  if (leader && leader != avoid && !Silent(backends_[*leader])) return leader;
  std::uint32_t found = kNobody;
  std::uint32_t found_rank = kUnusable;
  for (std::uint32_t id = 0; id < backends_.size(); ++id) {
    const Backend& backend = backends_[id];
    if (!Usable(id) || backend.state.leader == NodeId(0)) continue;
    std::uint32_t rank = backend.state.role == NodeRole::kVoter ? 0 : 1;
    if (Silent(backend)) rank += 2;
    if (avoid == id) rank += 4;
    if (rank > found_rank) continue;
    if (rank == found_rank && !Lighter(backend, backends_[found])) continue;
    found = id;
    found_rank = rank;
  }
  if (found == kNobody) return std::nullopt;
  return found;
}

}  // namespace coppice::proxy
