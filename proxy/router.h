#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/base/time.h"
#include "common/replica/replica_wire.h"

namespace coppice::proxy {

// A proxy loop's name for a connection to a voter or learner; given by Router::Add, reused after
// Remove.
using BackendId = std::uint32_t;

// What choosing a backend needs to know of a request.
struct Want {
  bool leader = false;  // a write or an administrative request; else a read
  ReadMode mode = ReadMode::kLinearizable;
  Micros max_staleness = -1;  // -1 = unbounded
  Revision min_revision = 0;
  bool spread = false;  // long-lived (a watch): rather the least loaded than the one used before
  // Only one that is fresher than this one, on which a watch is and which is no longer fresh.
  std::optional<BackendId> fresher_than{};
  bool plain() const { return max_staleness < 0 && min_revision == 0; }
};

struct RouterOptions {
  std::uint32_t slack = 64;             // outstanding requests above the least before moving on
  Micros latency_slack = kMillisecond;  // differences below this are noise
  Micros latency_memory = 1 * kSecond;  // older measurements say nothing
  Micros silence_max = 1 * kSecond;     // states come every 100 ms: one silent for so long hangs
  Micros cut_off_after = 3 * kSecond;   // no confirmed round for 3 election timeouts
  // Between two rounds' ages, else they count as equal: reports come when they come.
  Micros fresher_by = 500 * kMillisecond;
};

// Chooses the voter or learner that gets a request (docs/architecture.md, "Proxies").
// Knows each by what its own connection reports and by what this loop measured: no shared view
// decides.
//
// Reads go to learners, to voters only when no learner can do it:
// - one that is not up, draining, or that has not said anything yet gets nothing;
// - before any other: learners believed to meet the bound and to have the revision asked for. Next,
//   learners that have to wait for a round or for the log; then voters; then learners without a
//   confirmed round for 3 election timeouts (a serializable read still prefers those to voters);
//   then, for reads whose bound they meet as they are, those that are not ready (without a quorum
//   nobody is); last, whatever is connected but has fallen silent;
// - among equals it stays with the one it used before, for that is what makes batches, until it has
//   64 more outstanding than the least, or 1.5 times the best latency. Then the least loaded.
// Watches likewise, but rather to a learner than to a voter if both are without a confirmed round.
// One whose backend is no longer fresh moves to those only whose last round is newer than that
// one's, or, if that one takes nothing new, that are fresh: in whatever order they lose their
// freshness, it ends at the freshest, and it does not go to and fro. Writes go to the voter that
// says of itself that it leads (of two, the one of the higher term); else to a voter that knows of
// a leader, which forwards; else to such a learner.
//
// Pure: reports, measurements and `now` in, a choice out. Thread: its loop's.
class Router {
 public:
  Router(const RouterOptions& options, Rng rng);

  BackendId Add();
  void Remove(BackendId id);
  void Up(BackendId id);
  void Down(BackendId id);
  void Heard(BackendId id, const replica::NodeState& state, Time now);
  void GoingAway(BackendId id);  // kGoAway: drains from now on

  // At the start of a turn's choices, what is outstanding on each.
  void BeginTurn(Time now);
  void SetOutstanding(BackendId id, std::size_t outstanding);
  void Sent(BackendId id) { ++backends_[id].outstanding; }
  void Answered(BackendId id, Micros latency, Time now);

  // `avoid`: one that just refused or lost the request; chosen only if there is no other.
  std::optional<BackendId> Choose(const Want& want, std::optional<BackendId> avoid = {});

  // Who leads, as far as this loop's connections say.
  std::optional<BackendId> Leader() const;
  bool Usable(BackendId id) const;  // up, ready, not draining
  bool Silent(BackendId id) const;
  bool SpokeLately(BackendId id) const;  // within 3 election timeouts
  bool Fresh(BackendId id) const;        // a round was confirmed within 3 election timeouts
  // How stale an answer of this one would be, at most, if it got no round since its last report;
  // -1 = never confirmed.
  Micros BelievedStaleness(BackendId id) const;
  const replica::NodeState* StateOf(BackendId id) const;  // null before the first
  std::size_t usable() const;

 private:
  struct Backend {
    bool exists = false;
    bool up = false;
    bool heard = false;
    replica::NodeState state;
    Time heard_at = 0;
    std::uint32_t outstanding = 0;  // ours
    std::uint32_t elsewhere = 0;    // other proxies', as of its last report
    double latency = 0;             // EWMA, us
    Time latency_at = -kSecond * 3600;
  };
  static constexpr std::uint32_t kNobody = UINT32_MAX;

  std::optional<BackendId> ChooseForRead(const Want& want, std::optional<BackendId> avoid);
  std::optional<BackendId> ChooseForLeader(std::optional<BackendId> avoid) const;
  std::uint32_t RankForRead(const Backend& backend, const Want& want) const;
  static bool Talks(const Backend& backend);
  bool MayServe(BackendId id, const Want& want) const;
  bool Silent(const Backend& backend) const;
  bool CutOff(const Backend& backend) const;
  bool Fresher(const Backend& backend, BackendId than) const;
  bool LatencyTooHigh(const Backend& backend, double best) const;
  bool Recent(const Backend& backend) const;
  bool Lighter(const Backend& a, const Backend& b) const;
  static std::uint64_t Load(const Backend& backend) {
    return std::uint64_t{backend.outstanding} + backend.elsewhere;
  }
  Micros Believed(const Backend& backend) const;

  RouterOptions options_;
  Rng rng_;
  std::vector<Backend> backends_;
  std::uint32_t current_ = kNobody;        // where reads go
  std::optional<BackendId> turns_choice_;  // for plain linearizable reads, this turn
  Time now_ = 0;
};

}  // namespace coppice::proxy
