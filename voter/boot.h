#pragma once

#include <cstdint>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/raft/types.h"
#include "common/wal/wal.h"

namespace coppice::voter {

// Gathers what a Raft core needs of its log while the log is replayed: the newest entries in
// memory, everything behind `applied` included, and the terms of all.
class BootLog {
 public:
  BootLog(Index applied, std::size_t window_bytes)
      : applied_(applied), window_bytes_(window_bytes) {}

  Index applied() const { return applied_; }
  void Replay(const EntryPtr& entry);
  // `configuration` is that of the state store, or the initial cluster.
  raft::BootState Finish(const wal::Recovered& recovered, raft::Configuration configuration);

 private:
  const Index applied_;
  const std::size_t window_bytes_;
  std::vector<EntryPtr> window_;
  std::size_t begin_ = 0;  // of what the window keeps
  std::size_t bytes_ = 0;
  std::vector<raft::TermRun> terms_;
};

}  // namespace coppice::voter
