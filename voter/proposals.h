#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "common/base/entry.h"
#include "common/mvcc/store.h"
#include "common/node/ports.h"
#include "common/raft/core.h"

namespace coppice::voter {

// Follows commands from an io loop's turn into the log and back: which loop asked, at which (term,
// index) the command stands, and what applying that entry said. An entry of another term at that
// index means the command is gone.
// Thread: the core loop's.
class Proposals {
 public:
  using Send = std::function<void(int loop, std::vector<node::WriteOutcome>)>;
  Proposals(int loops, Send send)
      : outcomes_(static_cast<std::size_t>(loops)), send_(std::move(send)) {}

  // A token for raft::Proposal.
  std::uint64_t Add(int loop, std::uint64_t io_token);
  void Proposed(const raft::ProposeResult& result);
  // What entries of a later term overwrite is gone from this log, and may still be in another's:
  // its outcome is unknown.
  void Appended(std::span<const EntryPtr> entries);
  void Applied(std::span<const EntryPtr> entries, mvcc::ApplyOutput& out);
  // Sends what gathered; at the end of each batch.
  void Flush();
  std::size_t pending() const { return pending_.size(); }

 private:
  struct Asker {
    int loop = -1;
    std::uint64_t io_token = 0;
  };
  struct Pending {
    Index index;
    Term term;
    Asker asker;
  };

  void Tell(const Asker& asker, node::WriteOutcome::Kind kind);
  void Overwritten(Index from, Term by);

  std::vector<Asker> askers_;  // by token
  std::vector<std::uint64_t> free_;
  std::deque<Pending> pending_;                            // by index
  std::vector<std::vector<node::WriteOutcome>> outcomes_;  // by loop
  Send send_;
};

}  // namespace coppice::voter
