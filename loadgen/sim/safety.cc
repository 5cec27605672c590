#include "loadgen/sim/safety.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/coding.h"

namespace coppice::sim {
namespace {

constexpr std::uint64_t kLookBack = 64;  // entries of a new leader's log that are compared
constexpr std::size_t kWindowBytes = 1U << 20;

}  // namespace

void RaftSafety::Violated(std::string property, std::string what) {
  if (violations_.size() < 20) violations_.push_back({std::move(property), std::move(what)});
}

void RaftSafety::Restarted(const std::string& name) {
  seen_.erase(name);
}

void RaftSafety::Observe(const std::string& name, voter::Voter& voter) {
  const raft::Core& core = voter.driver().core();
  const raft::Status& status = voter.driver().status();
  Seen& seen = seen_[name];
  if (status.term == seen.term && status.commit == seen.commit && status.role == seen.role) {
    return;
  }
  if (status.term < seen.term) {
    Violated("Raft: terms", fmt::format("{} went back from term {} to {}", name, seen.term.value(),
                                        status.term.value()));
  }
  if (status.commit < seen.commit) {
    Violated("Raft: commit", fmt::format("{}: the commit index went back from {} to {}", name,
                                         seen.commit.value(), status.commit.value()));
  }
  if (status.role == raft::Role::kLeader && seen.leading != status.term) {
    CheckElection(name, status);
    CheckCompleteness(name, core);
    seen.leading = status.term;
    seen.led_from = status.last_index;
  }
  const raft::Status now = core.status();
  if (status.role == raft::Role::kLeader && now.last_index < seen.led_from) {
    Violated("Raft: leader append-only",
             fmt::format("{}, leader of term {}, dropped entries of its own log: it ended at {} "
                         "and ends at {}",
                         name, status.term.value(), seen.led_from.value(), now.last_index.value()));
  }
  CheckCommitted(name, core, status.term, seen.commit + 1, status.commit);
  CheckLog(name, core, seen.last < now.last_index ? seen.last : now.last_index, now.last_index);
  seen.term = status.term;
  seen.commit = status.commit;
  seen.role = status.role;
  seen.last = now.last_index;
}

void RaftSafety::CheckElection(const std::string& name, const raft::Status& status) {
  const auto [at, is_new] = leaders_.emplace(status.term, name);
  if (!is_new && at->second != name) {
    Violated("Raft: election safety",
             fmt::format("{} and {} both lead in term {}", at->second, name, status.term.value()));
  }
  if (!is_new) return;
  coverage_.Add("elections");
  if (status.term < highest_term_) return;
  if (!leader_.empty() && leader_ != name) coverage_.Add("leader-changes");
  highest_term_ = status.term;
  leader_ = name;
}

// Thesis figure 3.2: what was committed in a term is in the logs of leaders of later ones. A
// candidate that stood still may come to lead a term that is over, and lack what came after it.
void RaftSafety::CheckCompleteness(const std::string& name, const raft::Core& core) {
  const raft::Status status = core.status();
  Index committed;
  for (const auto& [in, index] : committed_in_) {
    if (in <= status.term) committed = std::max(committed, index);
  }
  if (status.last_index < committed) {
    return Violated(
        "Raft: leader completeness",
        fmt::format("{} leads in term {} with a log that ends at {}; {} was committed", name,
                    status.term.value(), status.last_index.value(), committed.value()));
  }
  std::uint64_t left = kLookBack;
  for (auto it = committed_.rbegin(); it != committed_.rend() && left > 0; ++it) {
    if (it->second.in > status.term) continue;
    --left;
    const Term term = core.TermAt(it->first);
    if (term == Term() || term == it->second.term) continue;
    return Violated("Raft: leader completeness",
                    fmt::format("{} leads with entry {} of term {}; that of term {} was committed",
                                name, it->first.value(), term.value(), it->second.term.value()));
  }
}

// The first to know of a commit is the leader that made it, or the same in a later term.
void RaftSafety::CheckCommitted(const std::string& name, const raft::Core& core, Term in,
                                Index from, Index to) {
  if (to < from) return;
  if (to > highest_commit_) committed_in_[in] = highest_commit_ = to;
  std::vector<EntryPtr> entries;
  core.CommittedWindow(from, kWindowBytes, entries);
  for (const EntryPtr& entry : entries) {
    if (entry->index() > to) break;
    const Committed now{entry->term(), GetLe<std::uint32_t>(entry->record().data() + 4), in};
    const auto [at, is_new] = committed_.emplace(entry->index(), now);
    if (is_new || (at->second.term == now.term && at->second.crc == now.crc)) continue;
    Violated("Raft: state machine safety",
             fmt::format("{} committed another entry {} (term {}) than the one committed before "
                         "(term {})",
                         name, entry->index().value(), now.term.value(), at->second.term.value()));
  }
}

void RaftSafety::CheckLog(const std::string& name, const raft::Core& core, Index from, Index to) {
  if (to - from > kLookBack) from = to - kLookBack;
  for (Index index = from; index <= to; ++index) {
    if (index <= Index(1)) continue;
    const Term term = core.TermAt(index);
    const Term previous = core.TermAt(index - 1);
    if (term == Term() || previous == Term()) continue;
    const auto [at, is_new] = before_.emplace(std::pair(index, term), previous);
    if (is_new || at->second == previous) continue;
    Violated("Raft: log matching",
             fmt::format("{}: entry {} of term {} follows one of term {}; elsewhere one of term {}",
                         name, index.value(), term.value(), previous.value(), at->second.value()));
  }
}

}  // namespace coppice::sim
