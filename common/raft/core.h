#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/base/time.h"
#include "common/raft/messages.h"
#include "common/raft/types.h"

namespace coppice::raft {

struct Config {
  NodeId id;
  Micros heartbeat_interval = 100 * kMillisecond;
  Micros election_timeout = 1000 * kMillisecond;  // T: elections start after a draw from [T, 2T]
  std::size_t append_bytes_max = 1U << 20;        // entries in one Append
  int appends_in_flight_max = 2;                  // unacknowledged append rounds per peer
  std::size_t uncommitted_bytes_max = 64U << 20;  // beyond it proposals are refused: Busy
  std::size_t window_bytes_max = 64U << 20;       // log kept in memory; older entries are asked for
};

// --- Inputs: all that can happen to a node.

struct Timer {};  // NextDeadline() has come
struct Received {
  NodeId from;
  Message message;
};
struct Proposal {           // encoded and checksummed by the io loop
  std::uint64_t token = 0;  // chosen by the caller, comes back in ProposeResult
  RecordKind kind = RecordKind::kCommand;
  std::string payload;
  std::uint32_t payload_crc = 0;
};
struct Propose {
  std::vector<Proposal> proposals;
};
struct ReadIndexRequest {
  std::uint64_t id = 0;
};  // fresh: never used before in this process
struct Appended {
  Term term;
  Index index;
};  // our own log is durable up to (term, index)
struct Applied {
  Index index;
};
struct EntriesRead {
  NodeId peer;
  std::vector<EntryPtr> entries;
};  // answers ReadLog; may be empty
struct PeerGone {
  NodeId peer;
};  // its process died (design: a reconnect was refused
    // or met another boot nonce)
struct TransferLeadership {
  NodeId to;
};
struct ResignLeadership {};  // this node cannot write: hand over to anyone
struct ChangeConfig {
  Configuration configuration;
  std::uint64_t token = 0;
};
struct SnapshotSaved {
  Index index;
  Term term;
  Configuration configuration;  // as of `index`
};  // installed here, WantsSnapshot having just said so; the log restarts after it
struct SnapshotFailed {};  // FetchSnapshot came to nothing; the leader will ask again
struct LogCompacted {
  Index index;  // at most what is applied
};              // the WAL no longer holds entries up to `index`

using Input = std::variant<Timer, Received, Propose, ReadIndexRequest, Appended, Applied,
                           EntriesRead, PeerGone, TransferLeadership, ResignLeadership,
                           ChangeConfig, SnapshotSaved, SnapshotFailed, LogCompacted>;

// --- Effects.

struct Outbound {
  NodeId to;
  Message message;
};
struct ReadReady {
  std::uint64_t id = 0;
  Index index;
};  // confirmed: serve once applied >= index
struct ReadRefused {
  std::uint64_t id = 0;
};  // not leader (any more): ask elsewhere
struct Accepted {
  Term term;
  Index index;
};  // outcome known once `index` is applied
struct NotLeader {
  NodeId leader;
};               // nothing was appended; 0 = unknown
struct Busy {};  // nothing was appended
struct ProposeResult {
  std::uint64_t token = 0;
  std::variant<Accepted, NotLeader, Busy> outcome;
};
struct ReadLog {
  NodeId peer;
  Index from;
  Index to;
  std::size_t bytes_max = 0;
};  // from the WAL

// The leader no longer has the entries that this node needs: fetch a snapshot of `index` or later,
// from `from` or any voter, install it if WantsSnapshot and input SnapshotSaved; else
// SnapshotFailed. Asked again from time to time until then; one at a time is enough.
struct FetchSnapshot {
  NodeId from;
  Index index;
};

// What the driver must do, in this order where it matters: hard_state and append go to the log in
// one write; send_now leaves at once; send_after_durable leaves only after a sync that covers that
// write; then the driver inputs Appended{term, index} of the last entry synced. `apply` holds
// committed entries that are durable here, each index once, in order.
struct Output {
  std::optional<HardState> hard_state;
  // May overwrite: the log drops what it held from the first index on.
  std::vector<EntryPtr> append;
  std::vector<Outbound> send_now;
  std::vector<Outbound> send_after_durable;
  std::vector<EntryPtr> apply;
  std::vector<ReadReady> reads;
  std::vector<ReadRefused> reads_refused;
  std::vector<ProposeResult> proposed;
  std::vector<ReadLog> read_log;
  std::optional<FetchSnapshot> fetch_snapshot;

  bool needs_sync() const { return hard_state.has_value() || !append.empty(); }
  void Clear();
  // Adds what a later step put out, and clears it.
  void Take(Output& later);
};

enum class Role { kFollower, kPreCandidate, kCandidate, kLeader };

// What others may ask at any time between steps.
struct Status {
  Role role = Role::kFollower;
  Term term;
  NodeId leader;  // 0 = unknown
  Index commit;
  Index last_index;
  Index durable;  // our own log is on disk up to here
  Index first_in_window;
  Configuration configuration;
};

// A Raft node's decisions. Pure: no I/O, clock, threads or randomness of its own; the same inputs
// give the same outputs. Inputs of one turn may share one Output: the driver then writes, syncs and
// sends once for all of them (group commit).
// Source: Ongaro's thesis, "Consensus: Bridging Theory and Practice"; sections beside the rules.
class Core {
 public:
  Core(const Config& config, const BootState& boot, Rng rng, Time now);
  ~Core();
  Core(Core&&) noexcept;

  void Step(Time now, Input input, Output& out);
  Time NextDeadline() const;  // when a Timer input is due; kNever if none

  Status status() const;
  HardState hard_state() const;  // as it is to be on disk before anything that follows is sent
  // Entries still in memory from `from` on, at most `bytes_max` (one at least), none above the
  // commit index: what the log's subscribers read. Empty if `from` is below the window or above
  // commit.
  void CommittedWindow(Index from, std::size_t bytes_max, std::vector<EntryPtr>& out) const;
  Term TermAt(Index index) const;  // 0 if it is not known
  // Whether a fetched snapshot is still needed. To be asked right before it replaces state and log,
  // with no write outstanding and no other step before SnapshotSaved: entries that were
  // acknowledged must not be thrown away for a snapshot that came late.
  bool WantsSnapshot(Index index, Term term) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coppice::raft
