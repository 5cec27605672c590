#pragma once

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/raft/core.h"
#include "common/raft/sim_safety.h"

namespace coppice::raft {

// Cores, each with a simulated disk and state store, over a network that delays, drops, duplicates,
// reorders and partitions. One thread; virtual time; everything follows from the seed. For tests.
class SimCluster {
 public:
  struct Faults {
    double drop = 0;
    double duplicate = 0;
    Micros delay_max = 2 * kMillisecond;
    Micros sync_max = 3 * kMillisecond;
    Micros turn_max = 0;  // inputs of this long share an Output
  };

  // Clocks run at rates between 1 / skew and skew. Messages of few bytes leave logs half
  // replicated.
  SimCluster(std::uint64_t seed, int nodes, Micros election_timeout = kSecond, double skew = 1,
             std::size_t append_bytes_max = 1000);

  void set_faults(const Faults& faults) { faults_ = faults; }
  void RunUntil(Time until);
  Time now() const { return now_; }
  int size() const { return static_cast<int>(nodes_.size()); }

  void Crash(int node);  // loses what was not synced, some of it or all
  void Restart(int node);
  bool up(int node) const { return nodes_[static_cast<std::size_t>(node)].core != nullptr; }
  void Partition(std::set<int> side);  // those on one side do not hear those on the other
  void CutOneWay(int from, int to);
  void HealNetwork();

  void Step(int node, Input input);
  void ProposeAt(int node, int count);
  std::uint64_t ReadAt(int node);
  void CompactAt(int node);  // drops the log up to what its state has flushed
  int leader() const;        // the one of the highest term; -1 if none

  const Core& core(int node) const { return *nodes_[static_cast<std::size_t>(node)].core; }
  const SimSafety& safety() const { return safety_; }
  // Committed payloads that this node has applied, snapshots included.
  const std::vector<std::string>& applied(int node) const {
    return nodes_[static_cast<std::size_t>(node)].state;
  }

 private:
  struct Write {
    std::optional<HardState> hard_state;
    std::vector<EntryPtr> entries;
  };
  struct Disk {
    HardState hard_state;
    Index base;  // the log begins after it
    Term base_term;
    std::vector<EntryPtr> log;
    void Apply(const Write& write);
  };
  struct Node {
    std::unique_ptr<Core> core;
    double rate = 1;         // of its clock
    std::uint64_t life = 0;  // counts restarts: what was scheduled for an earlier one is void
    Disk disk;
    std::vector<std::pair<Write, std::vector<Outbound>>> unsynced;
    bool syncing = false;
    bool in_turn = false;  // `turn` has effects that nobody has seen yet
    Output turn;
    Status before;  // as the turn began
    Time timer = kNever;
    std::vector<std::string> state;  // state[i] is the payload of entry i + 1
    Index flushed;                   // a restart finds the state as of here
    bool fetching = false;
  };
  struct Event {
    Time at;
    std::uint64_t sequence;
    std::function<void()> run;
    bool operator>(const Event& o) const {
      return std::tie(at, sequence) > std::tie(o.at, o.sequence);
    }
  };

  Node& at(int node) { return nodes_[static_cast<std::size_t>(node)]; }
  Time LocalTime(const Node& node) const {
    return static_cast<Time>(static_cast<double>(now_) * node.rate);
  }
  static NodeId Id(int node) { return NodeId(static_cast<std::uint64_t>(node) + 1); }
  static int IndexOf(NodeId id) { return static_cast<int>(id.value()) - 1; }
  void At(Time when, std::function<void()> run);
  void OnNode(int node, Micros delay, std::function<void()> run);  // void if it restarts
  void EndTurn(int node);
  void Perform(int node, const Output& out);
  const Configuration& ConfigurationAt(Index index) const;  // of the committed log
  void Send(int from, const Outbound& outbound);
  void Sync(int node);
  void ApplyEntries(int node, const Output& out);
  void Fetch(int node, const FetchSnapshot& wanted);
  void ReadFromDisk(int node, const ReadLog& wanted);
  void ArmTimer(int node);
  BootState Boot(const Node& node) const;

  const Micros election_timeout_;
  const std::size_t append_bytes_max_;
  Rng rng_;
  Time now_ = kSecond;
  std::uint64_t sequence_ = 0;
  std::uint64_t next_id_ = 1;
  Faults faults_;
  std::map<Index, Configuration> configurations_;  // committed, by the index of the entry
  std::vector<Node> nodes_;
  std::set<std::pair<int, int>> cut_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  SimSafety safety_;
};

}  // namespace coppice::raft
