#include "common/raft/sim_safety.h"

#include <algorithm>

#include "common/base/check.h"

namespace coppice::raft {

void SimSafety::Stepped(NodeId node, const Status& before, const Core& core, const Output& out) {
  CheckLog(core, out);
  CheckApply(core.status().term, out);
  CheckLeader(node, before, core, out);
  const Status now = core.status();
  for (Index index = before.commit + 1; index <= now.commit; ++index) {
    const Term term = core.TermAt(index);
    if (term == Term(0)) continue;  // inside an installed snapshot
    const auto [it, fresh] = committed_.emplace(index, Committed{term, now.term});
    COPPICE_CHECK(it->second.term == term, "one entry is committed at an index");
  }
  highest_commit_ = std::max(highest_commit_, now.commit);
  CheckReads(out);
}

void SimSafety::CheckLeader(NodeId node, const Status& before, const Core& core,
                            const Output& out) {
  const Status now = core.status();
  if (now.role != Role::kLeader) return;
  const auto [it, fresh] = leaders_.emplace(now.term, node);
  COPPICE_CHECK(it->second == node, "Election Safety: one leader a term");
  const bool was_leader = before.role == Role::kLeader && before.term == now.term;
  if (was_leader && !out.append.empty()) {
    COPPICE_CHECK(out.append.front()->index() == before.last_index + 1, "Leader Append-Only");
  }
  if (was_leader) return;
  // Of what was committed up to its term: it may be one that is over.
  for (const auto& [index, committed] : committed_) {
    if (committed.in > now.term) continue;
    const Term held = core.TermAt(index);
    COPPICE_CHECK(held == committed.term || (held == Term(0) && index <= now.commit),
                  "Leader Completeness");
  }
}

void SimSafety::CheckLog(const Core& core, const Output& out) {
  for (const EntryPtr& entry : out.append) {
    const Term prev = core.TermAt(entry->index() - 1);
    const auto [it, fresh] = entries_.try_emplace(
        {entry->index(), entry->term()}, Known{std::string(entry->payload()), entry->kind(), prev});
    // By induction over the entry before, all before it are the same too.
    COPPICE_CHECK(it->second.payload == entry->payload() && it->second.kind == entry->kind() &&
                      it->second.prev_term == prev,
                  "Log Matching");
  }
}

void SimSafety::CheckApply(Term in, const Output& out) {
  for (const EntryPtr& entry : out.apply) {
    const auto [it, fresh] = committed_.emplace(entry->index(), Committed{entry->term(), in});
    COPPICE_CHECK(it->second.term == entry->term(), "State Machine Safety");
    highest_commit_ = std::max(highest_commit_, entry->index());
  }
}

void SimSafety::CheckReads(const Output& out) {
  for (const ReadReady& read : out.reads) {
    COPPICE_CHECK(reads_.contains(read.id), "a read is answered once");
    COPPICE_CHECK(read.index >= reads_.at(read.id), "a read sees all acknowledged before it came");
    reads_.erase(read.id);
    ++reads_answered_;
  }
  for (const ReadRefused& read : out.reads_refused) {
    COPPICE_CHECK(reads_.erase(read.id) == 1, "a read is answered once");
  }
}

}  // namespace coppice::raft
