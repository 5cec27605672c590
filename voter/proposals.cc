#include "voter/proposals.h"

#include "common/base/check.h"

namespace coppice::voter {

using node::WriteOutcome;

std::uint64_t Proposals::Add(int loop, std::uint64_t io_token) {
  std::uint64_t token = askers_.size();
  if (free_.empty()) {
    askers_.emplace_back();
  } else {
    token = free_.back();
    free_.pop_back();
  }
  askers_[token] = {loop, io_token};
  return token;
}

void Proposals::Tell(const Asker& asker, WriteOutcome::Kind kind) {
  WriteOutcome outcome;
  outcome.token = asker.io_token;
  outcome.kind = kind;
  outcomes_[static_cast<std::size_t>(asker.loop)].push_back(std::move(outcome));
}

void Proposals::Proposed(const raft::ProposeResult& result) {
  if (result.token >= askers_.size()) return;  // a registry change: nobody waits for it
  const Asker asker = askers_[result.token];
  free_.push_back(result.token);
  if (const auto* accepted = std::get_if<raft::Accepted>(&result.outcome)) {
    // What an earlier leadership of ours left at this index or after it.
    Overwritten(accepted->index, accepted->term);
    pending_.push_back({accepted->index, accepted->term, asker});
  } else if (std::holds_alternative<raft::Busy>(result.outcome)) {
    Tell(asker, WriteOutcome::Kind::kBusy);
  } else {
    Tell(asker, WriteOutcome::Kind::kNotProposed);
  }
}

void Proposals::Appended(std::span<const EntryPtr> entries) {
  for (const EntryPtr& entry : entries) {
    if (pending_.empty()) return;
    Overwritten(entry->index(), entry->term());
  }
}

void Proposals::Overwritten(Index from, Term by) {
  while (!pending_.empty() && pending_.back().index >= from && pending_.back().term < by) {
    Tell(pending_.back().asker, WriteOutcome::Kind::kUnknown);
    pending_.pop_back();
  }
}

void Proposals::Applied(std::span<const EntryPtr> entries, mvcc::ApplyOutput& out) {
  if (pending_.empty()) return;
  std::size_t next_result = 0;
  for (const EntryPtr& entry : entries) {
    mvcc::CommandResult* result = nullptr;
    if (next_result < out.results.size() && out.results[next_result].first == entry->index()) {
      result = &out.results[next_result++].second;
    }
    if (pending_.empty() || pending_.front().index > entry->index()) continue;
    const Pending pending = pending_.front();
    pending_.pop_front();
    COPPICE_CHECK(pending.index == entry->index(), "entries are applied in order, each once");
    if (pending.term != entry->term() || result == nullptr) {
      Tell(pending.asker, WriteOutcome::Kind::kUnknown);
      continue;
    }
    WriteOutcome outcome;
    outcome.token = pending.asker.io_token;
    outcome.kind = WriteOutcome::Kind::kApplied;
    outcome.term = entry->term();
    outcome.result = std::move(*result);
    outcomes_[static_cast<std::size_t>(pending.asker.loop)].push_back(std::move(outcome));
  }
}

void Proposals::Flush() {
  for (std::size_t loop = 0; loop < outcomes_.size(); ++loop) {
    if (outcomes_[loop].empty()) continue;
    send_(static_cast<int>(loop), std::exchange(outcomes_[loop], {}));
  }
}

}  // namespace coppice::voter
