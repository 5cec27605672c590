#pragma once

#include <cstdint>
#include <deque>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice::raft {

// What a leader knows of one peer's log and how it sends to it.
//
//   probe      where the logs agree is not known: one append at a time, until one is accepted
//   replicate  appends leave before the ones before them are answered, a bounded number of them
//   snapshot   the peer needs entries that the log no longer has; it is fetching a snapshot
//
// Invariant: match < next.
class Progress {
 public:
  enum class State { kProbe, kReplicate, kSnapshot };

  Progress(Index next, Time now) : next_(next), contact(now) {}

  State state() const { return state_; }
  Index match() const { return match_; }  // durable at the peer and equal to the leader's
  Index next() const { return next_; }    // the first entry that has not been sent
  std::size_t in_flight() const { return in_flight_.size(); }

  // Whether entries may be sent now.
  bool CanSend(int in_flight_max) const;
  // An append of entries up to `last` was sent (last = next - 1: a probe without entries).
  void Sent(Index last);
  // Entries are being read from the WAL for this peer; nothing else is sent meanwhile.
  void Reading() { reading_ = true; }
  bool reading() const { return reading_; }
  void ReadDone() { reading_ = false; }

  // Everything up to `match` is durable at the peer, which accepted an append of this term.
  void Accepted(Index match);
  // The peer refused the append after `prev`; the logs can agree at `agree` at the latest. False:
  // a late answer, nothing changes.
  bool Refused(Index prev, Index agree);
  void BecomeProbe();
  void BecomeSnapshot() { Become(State::kSnapshot); }

 private:
  void Become(State state);

  State state_ = State::kProbe;
  Index match_;
  Index next_;
  bool probing_ = false;  // a probe is out
  bool reading_ = false;
  std::deque<Index> in_flight_;  // the last index of each unanswered append

 public:
  // Bookkeeping of what was sent and heard; it has no rules of its own.
  Time contact;                   // when the peer last answered in this term
  Time sent_at = 0;               // when anything was last sent to it
  Time snapshot_sent_at = 0;      // in state snapshot
  Index sent_commit;              // the highest commit index it could take over
  std::uint64_t sent_round = 0;   // the newest read round it was sent...
  std::uint64_t echo = 0;         // ...and the newest it echoed
  std::uint64_t timed_round = 0;  // the round whose answer is being timed; 0 = none...
  Time timed_at = 0;              // ...and when it was sent
  Micros srtt = 0;                // smoothed round trip; 0 = not measured

  void SentRound(std::uint64_t round, Time now);
  void Echoed(std::uint64_t round, Time now);
  // How long an answer is likely to take, counting a question that is waiting for its answer now.
  Micros ResponseTime(Time now) const;
};

}  // namespace coppice::raft
