#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice::replica {

constexpr int kGateLoopsMax = 64;
constexpr int kGateSlots = 2;  // rounds out at once, and asked lists per io loop

struct ReadGateConfig {
  std::uint64_t boot_nonce = 0;  // random per process start: ids of two boots never meet
  Micros gap_max = 500;          // longest pause between rounds under load; 0 on two cores or fewer
  Micros refresh_interval = 100 * kMillisecond;  // of an idle gate; 0 = no round unless asked
  Micros merge_window = 10 * kMillisecond;       // idle rounds of children wait for each other
  Micros retry_min = 20 * kMillisecond;
  Micros election_timeout = 1000 * kMillisecond;
};

// The read gate: one per process, between the io loops' queued reads and children below, and the
// upstream above (the leader's raft core, the leader's connection, or a relay). Reads and children
// that wait leave together as one ReadIndex round, so the leader's cost does not grow with readers.
//
// What it keeps:
// - a round takes all that waits; what comes later is never attached to it (docs/architecture.md);
// - ids are never reused, a retry has a new one (etcd 20418), a late answer to a retired id counts
//   for nothing but the round trip time;
// - a local batch is released only once applied >= the round's index, after fresh_as_of is out;
// - fresh_as_of is the local time before the round left, never a relay's stamp, and never goes back
//   but for Resumed.
//
// Pure: inputs and `now` in, effects out. Thread: the core loop. Applied{i} is input only after the
// view that has i is published.
class ReadGate {
 public:
  struct LocalWaiting {  // `loop` moved what waited into asked[slot]; until its ServeLoop it keeps
    int loop = 0;        // that list closed
    int slot = 0;
  };
  struct ChildRound {
    std::uint64_t child = 0;     // connection
    std::uint64_t child_id = 0;  // the child's own id of its round, echoed in the answer
    bool relaxed = false;        // an idle refresh: may wait for `merge_window`
  };
  struct ChildGone {
    std::uint64_t child = 0;
  };
  struct UpstreamAnswer {
    std::uint64_t id = 0;
    Index index;
  };
  struct UpstreamRefused {  // not the leader, or has no upstream itself: asked anew a little later
    std::uint64_t id = 0;
  };
  struct UpstreamUp {};
  struct UpstreamDown {};  // also before a switch: whatever is out is asked anew of the next one
  struct Applied {
    Index index;
  };
  struct SetRefresh {  // a voter's: oftener while it has children
    Micros interval = 0;
  };
  struct Resumed {};  // the machine may have been suspended with the clock standing still
  struct Timer {};
  using Input =
      std::variant<Timer, LocalWaiting, ChildRound, ChildGone, UpstreamAnswer, UpstreamRefused,
                   UpstreamUp, UpstreamDown, Applied, SetRefresh, Resumed>;

  struct SendRound {
    std::uint64_t id = 0;
    bool relaxed = false;  // nobody waits: only refreshes
  };
  struct ServeLoop {
    int loop = 0;
    int slot = 0;
    Time fresh_as_of = 0;
    Index index;  // the round's; the view has applied at least this
  };
  struct AnswerChild {
    std::uint64_t child = 0;
    std::uint64_t child_id = 0;
    Index index;
  };
  struct RefuseChild {
    std::uint64_t child = 0;
    std::uint64_t child_id = 0;
  };
  // To be carried out in this order. Inputs of one turn share one Output.
  struct Output {
    std::optional<Time> publish_fresh;  // 0 clears it
    std::vector<ServeLoop> serve;
    std::vector<AnswerChild> answer;
    std::vector<RefuseChild> refuse;
    std::vector<SendRound> send;
    std::optional<bool> confirmed;  // changed: a round was confirmed within 3 election timeouts
    void Clear();
  };

  explicit ReadGate(const ReadGateConfig& config);

  // All inputs of a turn in one call: what waits is looked at once, after the last of them.
  void Step(Time now, std::span<const Input> inputs, Output& out);
  void Step(Time now, const Input& input, Output& out) { Step(now, {&input, 1}, out); }
  Time NextDeadline() const;

  Time fresh_as_of() const { return fresh_; }  // 0 = no round has completed
  bool confirmed() const { return confirmed_; }
  Time last_confirmed() const { return last_confirmed_; }  // when its answer came; 0 = never
  int rounds_out() const;
  Micros round_trip() const { return srtt_; }

 private:
  struct Child {
    std::uint64_t child;
    std::uint64_t child_id;
    bool relaxed;
  };
  struct Members {
    std::array<std::uint64_t, kGateSlots> loops{};  // bit l of loops[s]: slot s of loop l
    std::vector<Child> children;
    bool urgent = false;  // someone in it must not wait for `merge_window`
    bool empty() const { return loops[0] == 0 && loops[1] == 0 && children.empty(); }
    void Clear();
  };
  struct Round {
    std::uint64_t id = 0;  // 0 = free
    Time sent_at = 0;
    Time retry_at = kNever;
    bool relaxed = false;
    bool stamped = true;  // false: sent before a resume, says nothing about freshness
    Members members;
  };
  struct Answered {
    Index index;
    Time sent_at = 0;  // 0 = not stamped
    std::array<std::uint64_t, kGateSlots> loops{};
  };
  struct Retired {
    std::uint64_t id = 0;
    Time sent_at = 0;
  };

  void On(Time now, const Timer&, Output& out);
  void On(Time now, const LocalWaiting& in, Output& out);
  void On(Time now, const ChildRound& in, Output& out);
  void On(Time now, const ChildGone& in, Output& out);
  void On(Time now, const UpstreamAnswer& in, Output& out);
  void On(Time now, const UpstreamRefused& in, Output& out);
  void On(Time now, const UpstreamUp&, Output& out);
  void On(Time now, const UpstreamDown&, Output& out);
  void On(Time now, const Applied& in, Output& out);
  void On(Time now, const SetRefresh& in, Output& out);
  void On(Time now, const Resumed&, Output& out);

  std::uint64_t FreshId();
  void Requeue(Time now, Round& round);
  void DropOldest(std::uint64_t child, Output& out);
  void LearnRoundTrip(Micros sample);
  void Remember(const Answered& answered);
  void ServeApplied(Output& out);
  void Expire(Time now, Output& out);
  void Send(Time now, Output& out);
  Time SendDue() const;
  Time LostAt() const;

  const ReadGateConfig config_;
  Micros refresh_interval_;
  std::uint64_t next_id_;
  bool up_ = false;
  Members waiting_;
  Time relaxed_since_ = kNever;
  std::array<Round, kGateSlots> rounds_;
  std::array<Retired, 8> retired_;  // a ring, for their round trip times only
  std::size_t retired_next_ = 0;
  std::vector<Answered> answered_;  // local batches that wait for apply
  Index applied_;
  Time last_sent_ = 0;       // of the newest round; 0 = none yet
  Time hold_until_ = 0;      // after a refusal
  bool refresh_now_ = true;  // the first round goes unasked
  Micros gap_ = 0;
  Micros srtt_ = 0;
  int lost_in_a_row_ = 0;
  Time fresh_ = 0;
  Time last_confirmed_ = 0;
  bool confirmed_ = false;
};

}  // namespace coppice::replica
