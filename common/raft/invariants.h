#pragma once

#include <optional>

#include "common/raft/core.h"
#include "common/raft/log.h"
#include "common/raft/roles.h"

namespace coppice::raft {

// What is true of a single node between any two steps, checked after each step in debug builds.
// What is true between nodes is checked by the randomized test.
class Invariants {
 public:
  struct View {
    NodeId self;
    HardState hard;  // with the volatile commit index
    Index durable;
    Index handed;  // given to apply
    Index applied;
    const Log* log;
    const RoleState* role;
    const Configuration* configuration;
  };

  // Aborts if `now` is not a legal state, or not one that can follow the last.
  void Check(const View& now);

 private:
  struct Last {
    HardState hard;
    Index handed;
    Index last_index;
    bool leader = false;
  };
  std::optional<Last> last_;
};

}  // namespace coppice::raft
