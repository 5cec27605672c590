#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/replica/replica_wire.h"

namespace coppice::replica {

struct TailSourceConfig {
  std::uint64_t cluster_id = 0;
  NodeId self;
  bool reads_wal = false;                // a voter: what memory lost is still in its log
  std::size_t window_bytes = 64U << 20;  // of committed entries in memory
  std::size_t gather_bytes = 32U << 10;  // a frame leaves at this size...
  Micros gather = 1 * kMillisecond;      // ...or when the last one is this old
  std::size_t frame_bytes_max = 1U << 20;
  Micros state_interval = 100 * kMillisecond;  // heartbeat: TailState to every connection
};

// The upstream end of the log tail: what a voter or a relay does for its subscribers
// (docs/formats.md, "Log tail").
//
// A subscriber names the (index, term) it has. Another term at that index: refused. Ahead of us: it
// waits. Below the window: a voter reads its WAL, a relay answers Behind. Entries are committed
// ones only, each frame at most the subscriber's credit and one entry more; of its credit 64 MiB
// count at a time. Under load frames
// gather to `gather` or `gather_bytes`; when idle, and before a ReadIndex answer, they leave at
// once.
//
// Pure. Thread: the core loop. Connections are named by the driver, never reused.
class TailSource {
 public:
  struct Timer {};
  struct Connected {  // a tail connection: it is told the state, subscribed or not
    std::uint64_t conn = 0;
  };
  struct Subscribe {
    std::uint64_t conn = 0;
    TailSubscribe request;
  };
  struct Credit {
    std::uint64_t conn = 0;
    std::uint64_t bytes = 0;
  };
  struct Gone {
    std::uint64_t conn = 0;
  };
  struct Committed {  // contiguous with what came before; a relay: as soon as received
    std::vector<EntryPtr> entries;
  };
  struct BeforeAnswer {  // a ReadIndexReply is about to be written to this connection
    std::uint64_t conn = 0;
  };
  struct WalRead {  // answers ReadWal; empty: the log no longer has `from`
    std::uint64_t conn = 0;
    std::vector<EntryPtr> entries;
    Index first_index;  // of the log
  };
  struct Restarted {  // the state now is that of (index, term): at start, or a snapshot
    Index index;
    Term term;
  };
  struct PathChanged {  // [self, ..., root]
    std::vector<NodeId> path;
    bool rooted = true;
  };
  struct LeaderChanged {  // followers: addresses of those alive; empty: subscribers may stay here
    bool leader = false;
    std::vector<std::string> followers;
  };
  struct Voters {  // their addresses, for subscribers that need what is not here any more
    std::vector<std::string> addresses;
  };
  struct LeaderIs {  // who leads: told to subscribers, who send writes there
    NodeId id;
    Term term;
  };
  struct RoundConfirmed {
    Time sent_at = 0;
  };
  using Input =
      std::variant<Timer, Connected, Subscribe, Credit, Gone, Committed, BeforeAnswer, WalRead,
                   Restarted, PathChanged, LeaderChanged, Voters, LeaderIs, RoundConfirmed>;

  struct SendEntries {
    std::uint64_t conn = 0;
    TailEntries message;
  };
  struct SendBehind {
    std::uint64_t conn = 0;
    TailBehind message;
  };
  struct SendRefused {
    std::uint64_t conn = 0;
    TailRefused message;
  };
  struct SendState {
    std::uint64_t conn = 0;
    TailState message;
  };
  struct ReadWal {  // entries from..to, at least one, about bytes_max; then input WalRead
    std::uint64_t conn = 0;
    Index from;
    Index to;
    std::size_t bytes_max = 0;
  };
  struct Output {
    std::vector<SendState> state;
    std::vector<SendEntries> entries;
    std::vector<SendBehind> behind;  // of a subscription that thereby has ended, as with refused
    std::vector<SendRefused> refused;
    std::vector<ReadWal> read_wal;
    void Clear();
  };

  explicit TailSource(const TailSourceConfig& config);

  void Step(Time now, const Input& input, Output& out);
  Time NextDeadline() const;

  Index first_index() const { return base_index_ + 1; }  // of the window
  Index last_index() const { return base_index_ + window_.size(); }
  Term last_term() const { return window_.empty() ? base_term_ : window_.back().entry->term(); }
  std::size_t window_bytes() const { return static_cast<std::size_t>(end_ - begin_); }
  std::size_t subscribers() const;

 private:
  struct Slot {
    EntryPtr entry;
    std::uint64_t offset;  // bytes of all entries before it, since the start
  };
  struct Link {
    bool subscribed = false;
    bool verified = false;     // its (index, term) is in our history
    bool reading_wal = false;  // one ReadWal is out
    bool insist = false;
    NodeId node;
    Index index;  // the newest entry that it has or that is on its way
    Term term;    // of `index`, until verified
    std::int64_t credit = 0;
    Time last_sent = 0;
  };
  using Links = std::map<std::uint64_t, Link>;

  void On(Time now, const Timer&, Output& out);
  void On(Time now, const Connected& in, Output& out);
  void On(Time now, const Subscribe& in, Output& out);
  void On(Time now, const Credit& in, Output& out);
  void On(Time now, const Gone& in, Output& out);
  void On(Time now, const Committed& in, Output& out);
  void On(Time now, const BeforeAnswer& in, Output& out);
  void On(Time now, const WalRead& in, Output& out);
  void On(Time now, const Restarted& in, Output& out);
  void On(Time now, const PathChanged& in, Output& out);
  void On(Time now, const LeaderChanged& in, Output& out);
  void On(Time now, const Voters& in, Output& out);
  void On(Time now, const LeaderIs& in, Output& out);
  void On(Time now, const RoundConfirmed& in, Output& out);

  enum class Gather : std::uint8_t { kMayWait, kNow };
  void PumpAll(Time now, Output& out);
  void Pump(Time now, std::uint64_t conn, Link& link, Gather gather, Output& out);
  bool Verify(std::uint64_t conn, Link& link, Output& out);
  void AskWal(std::uint64_t conn, Link& link, Index from, Output& out);
  void SendFrame(Time now, std::uint64_t conn, Link& link, std::vector<EntryPtr> entries,
                 Output& out);
  void Refuse(std::uint64_t conn, Link& link, TailRefusal reason, Output& out);
  void Behind(std::uint64_t conn, Link& link, Index first, Output& out);
  void SendStates(Time now, Output& out);
  TailState State(Time now) const;
  std::uint64_t PendingBytes(const Link& link) const;
  bool Pending(const Link& link) const;
  Term TermAt(Index index) const;

  const TailSourceConfig config_;
  std::deque<Slot> window_;  // entries base_index_ + 1 ...
  Index base_index_;
  Term base_term_;
  std::uint64_t begin_ = 0;  // offset of the window's front
  std::uint64_t end_ = 0;
  Links links_;
  std::vector<NodeId> path_;
  bool rooted_;
  bool leader_ = false;
  NodeId leader_id_;
  Term leader_term_;
  std::vector<std::string> followers_;
  std::vector<std::string> voters_;
  Time round_sent_at_ = 0;  // 0 = none
  Time next_state_ = kNever;
};

}  // namespace coppice::replica
