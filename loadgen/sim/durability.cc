#include "loadgen/sim/durability.h"

#include <fmt/format.h>

#include <variant>

#include "common/raft/messages.h"

namespace coppice::sim {

void Durability::Violated(const std::string& name, const std::string& what) {
  violations_.push_back({"U3", fmt::format("{} started again {}", name, what)});
}

void Durability::Turned(const std::string& name, voter::Voter& voter) {
  const Index applied = voter.tier().core().applied();
  const Index commit = voter.driver().status().commit;
  if (applied <= commit || !violations_.empty()) return;
  violations_.push_back({"U3", fmt::format("{} has applied entry {}; it knows of {} as committed",
                                           name, applied.value(), commit.value())});
}

void Durability::Killing(const std::string& name, const voter::Voter& voter) {
  held_.erase(name);
  // What waits for a sync, or for space, has not been told.
  held_[name] = {voter.driver().saved(), voter.driver().core().status().durable};
}

void Durability::Sent(const std::string& name, NodeId to, std::string_view message) {
  constexpr std::size_t kVoteReplyMax = 64;  // so that entries are not decoded
  raft::Message decoded;
  if (message.size() > kVoteReplyMax || !raft::DecodeMessage(message, decoded)) return;
  const auto* reply = std::get_if<raft::VoteReply>(&decoded);
  if (reply != nullptr && reply->granted) given_[name] = {reply->term, to};
}

void Durability::Ending(const std::string& name, Index applied) {
  applied_[name] = applied;
}

void Durability::Started(const std::string& name, const voter::Voter& voter) {
  const wal::Recovered& now = voter.recovered();
  const auto applied = applied_.extract(name);
  if (!applied.empty() && applied.mapped() > now.last_index) {
    Violated(name, fmt::format("with a log up to entry {}; it had applied {}",
                               now.last_index.value(), applied.mapped().value()));
  }
  if (const auto given = given_.find(name); given != given_.end()) {
    CheckVote(name, now.hard_state, given->second.term, given->second.vote);
  }
  const auto held = held_.extract(name);
  if (held.empty()) return;
  const auto& [hard_state, last] = held.mapped();
  if (now.last_index < last) {
    Violated(name, fmt::format("with a log up to entry {}; it had acknowledged {}",
                               now.last_index.value(), last.value()));
  }
  CheckVote(name, now.hard_state, hard_state.term, hard_state.vote);
}

void Durability::CheckVote(const std::string& name, const wal::HardState& now, Term term,
                           NodeId vote) {
  if (now.term > term || (now.term == term && now.vote == vote)) return;
  Violated(name, fmt::format("in term {} with a vote for {}; it had been in term {} and voted "
                             "for {}",
                             now.term.value(), now.vote.value(), term.value(), vote.value()));
}

}  // namespace coppice::sim
