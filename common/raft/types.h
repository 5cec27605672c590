#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"

namespace coppice::raft {

// What must be on disk before a vote or an acknowledgement leaves (thesis section 3.8).
struct HardState {
  Term term;
  NodeId vote;
  Index commit;  // a hint for restarts; at most what is committed
  bool operator==(const HardState&) const = default;
};

// Who votes and who only follows. A joint configuration (thesis section 4.3) has both halves;
// `voters_old` is empty otherwise. A Raft learner catches up before promotion and never counts.
// Each list is sorted and without repeats.
struct Configuration {
  std::vector<NodeId> voters;
  std::vector<NodeId> voters_old;
  std::vector<NodeId> learners;
  bool joint() const { return !voters_old.empty(); }
  bool operator==(const Configuration&) const = default;
};

// The payload of a kConfiguration entry.
std::string EncodeConfiguration(const Configuration& configuration);
bool DecodeConfiguration(std::string_view bytes, Configuration& out);

// Terms of a log as runs: entries from `first` on have `term`, until the next run begins.
struct TermRun {
  Index first;
  Term term;
};

// What a node knows when it starts.
struct BootState {
  HardState hard_state;
  Configuration configuration;  // as of `applied`; later ones are found in `window`
  Index snapshot_index;         // entries up to here are in the state only; 0 = the log begins at 1
  Term snapshot_term;
  Index last_index;              // of the durable log
  std::vector<TermRun> terms;    // of (snapshot_index, last_index]
  std::vector<EntryPtr> window;  // the newest entries, contiguous up to last_index; must include
                                 // everything after `applied`
  Index applied;  // of the state store; at most last_index, else the node must not start
};

}  // namespace coppice::raft
