#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/base/time.h"
#include "common/replica/replica_wire.h"

namespace coppice::replica {

struct TailSinkConfig {
  std::uint64_t cluster_id = 0;  // 0 = not known yet: the first upstream's is adopted
  NodeId self;
  std::size_t buffer_bytes_max = 16U << 20;  // received and not yet applied
  Micros heartbeat = 100 * kMillisecond;     // of upstreams' TailState and of idle rounds
  Micros connect_timeout = 1 * kSecond;      // until the upstream's first TailState
  Micros backoff_min = 50 * kMillisecond;    // doubled at each failure, with jitter
  Micros backoff_max = 5 * kSecond;
};

// The learner's end of the log tail: chooses an upstream, subscribes at its own (index, term), and
// gives out each committed entry once, in order (docs/formats.md, "Log tail").
//
// Choice: configured upstreams before those of the registry, any before the leader, at random among
// equals; one that failed waits out its back-off. Refused: one whose path contains this node, one
// that is too deep, one of another cluster; one without a voter above it is asked last. Switches
// when the connection dies, or when no round was completed in 3 heartbeats, or only such as were
// sent more than 10 ago, and another upstream reports a newer one; later where rounds take long, or
// where the upstreams before had not completed one either. After Behind a voter fills the gap, then
// the sink returns to the relay it came from.
//
// Pure. Thread: the core loop. `link` names one connection attempt and is never reused.
class TailSink {
 public:
  struct Candidate {
    std::string address;
    NodeId id;                // 0 = not known yet
    bool voter = false;       // as far as known
    bool configured = false;  // by --upstream
  };

  struct Timer {};
  struct Candidates {  // all there are now: configuration and registry
    std::vector<Candidate> list;
  };
  struct ConnectionUp {
    std::uint64_t link = 0;
  };
  struct ConnectionLost {  // or could not be made
    std::uint64_t link = 0;
  };
  struct State {
    std::uint64_t link = 0;
    TailState message;
  };
  struct Entries {
    std::uint64_t link = 0;
    TailEntries message;
  };
  struct Behind {
    std::uint64_t link = 0;
    TailBehind message;
  };
  struct Refused {
    std::uint64_t link = 0;
    TailRefused message;
  };
  struct RoundCompleted {  // by the read gate, over the current link
    Time sent_at = 0;
  };
  struct Applied {
    Index index;
  };
  struct SnapshotInstalled {  // answers need_snapshot; also the state at start, unless empty
    Index index;
    Term term;
    std::uint64_t cluster_id = 0;  // 0 = unchanged
  };
  using Input = std::variant<Timer, Candidates, ConnectionUp, ConnectionLost, State, Entries,
                             Behind, Refused, RoundCompleted, Applied, SnapshotInstalled>;

  struct Path {
    std::vector<NodeId> nodes;  // [self, ..., root]
    bool rooted = false;        // the root is a voter
    bool operator==(const Path&) const = default;
  };
  struct Connect {
    std::uint64_t link = 0;
    std::string address;
  };
  struct SendSubscribe {
    std::uint64_t link = 0;
    TailSubscribe message;
  };
  struct SendCredit {
    std::uint64_t link = 0;
    std::uint32_t bytes = 0;
  };
  // To be carried out in this order. `upstream` is the read gate's: a link (UpstreamDown, then
  // UpstreamUp) or 0 (UpstreamDown).
  struct Output {
    std::vector<std::uint64_t> disconnect;
    std::optional<std::uint64_t> upstream;
    std::vector<Connect> connect;
    std::vector<SendSubscribe> subscribe;
    std::vector<SendCredit> credit;
    std::vector<EntryPtr> apply;
    std::optional<Path> path;        // for the own TailSource
    bool need_snapshot = false;      // nothing more comes until SnapshotInstalled
    std::vector<std::string> notes;  // for the log: why an upstream was left
    void Clear();
  };

  TailSink(const TailSinkConfig& config, Rng rng);

  void Step(Time now, const Input& input, Output& out);
  Time NextDeadline() const;

  Index last_index() const { return last_index_; }  // received, perhaps not applied
  Index commit() const { return commit_; }          // the newest that an upstream told of
  std::size_t buffered_bytes() const { return buffered_; }
  std::uint64_t cluster_id() const { return cluster_id_; }
  std::uint64_t upstream() const { return current_.id; }  // link; 0 = none
  std::string upstream_address() const { return current_.address; }
  NodeId leader() const { return leader_; }  // as the upstream says; 0 = unknown
  Term leader_term() const { return leader_term_; }
  NodeId upstream_id() const { return path_.nodes.size() > 1 ? path_.nodes[1] : NodeId(0); }

 private:
  struct Peer {
    Candidate candidate;
    bool leader = false;
    bool unrooted = false;   // it had no voter above it when last asked
    bool learned = false;    // from an upstream that sent us away
    bool sent_away = false;  // by this leader: the next time we insist
    int failures = 0;
    Time not_before = 0;
    Index first_index;  // said Behind: useless until we have what is before this
  };
  struct Link {
    std::uint64_t id = 0;  // 0 = none
    std::string address;
    Time since = 0;  // of the attempt, then of the subscription
    bool returning = false;
  };
  struct Buffered {
    Index index;
    std::size_t bytes;
  };

  void On(Time now, const Timer&, Output& out);
  void On(Time now, const Candidates& in, Output& out);
  void On(Time now, const ConnectionUp& in, Output& out);
  void On(Time now, const ConnectionLost& in, Output& out);
  void On(Time now, const State& in, Output& out);
  void On(Time now, const Entries& in, Output& out);
  void On(Time now, const Behind& in, Output& out);
  void On(Time now, const Refused& in, Output& out);
  void On(Time now, const RoundCompleted& in, Output& out);
  void On(Time now, const Applied& in, Output& out);
  void On(Time now, const SnapshotInstalled& in, Output& out);

  void Act(Time now, Output& out);
  void ExpireProbe(Time now, Output& out);
  std::string Objection(const TailState& state) const;
  void OnProbeState(Time now, const TailState& state, Output& out);
  void OnCurrentState(Time now, const TailState& state, Output& out);
  void StartProbe(Time now, Peer& peer, bool returning, Output& out);
  void Adopt(Time now, const TailState& state, Output& out);
  void Leave(Time now, const std::string& why, bool failed, Output& out);
  void DropProbe(Time now, bool failed, Output& out);
  void SetPath(Path path, Output& out);
  void GrantCredit(std::size_t bytes, Output& out);
  bool TakeEntry(const EntryPtr& entry, std::string& error, Output& out);
  void NoteCommit(Index commit);
  void LearnVoters(const std::vector<std::string>& addresses);
  Peer* Find(const std::string& address);
  Peer* Pick(Time now);
  int Rank(const Peer& peer) const;
  void Failed(Time now, Peer& peer);
  Time StuckAt() const;
  Time NextTry() const;
  bool MayReturn() const;

  const TailSinkConfig config_;
  Rng rng_;
  std::uint64_t cluster_id_;
  std::vector<Peer> peers_;
  Link current_;
  Link probe_;
  std::uint64_t last_link_ = 0;
  Time probe_pause_until_ = 0;  // between looks at others while stuck
  std::string home_;            // the relay that said Behind; empty = none
  Path path_;
  NodeId leader_;
  Term leader_term_;
  Time round_sent_at_ = 0;  // of the newest that was completed
  Time round_done_at_ = 0;
  Micros round_took_ = 0;  // of the last one
  int fruitless_ = 0;      // upstreams in a row that were left before they had completed one
  bool wants_snapshot_ = false;
  Index last_index_;
  Term last_term_;
  Index commit_;
  std::deque<Buffered> unapplied_;
  std::size_t buffered_ = 0;
  std::size_t ungranted_ = 0;  // freed and not yet given back as credit
};

}  // namespace coppice::replica
