#include "loadgen/sim/durability.h"

#include <fmt/format.h>

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
  const auto held = held_.extract(name);
  if (held.empty()) return;
  const auto& [hard_state, last] = held.mapped();
  if (now.last_index < last) {
    Violated(name, fmt::format("with a log up to entry {}; it had acknowledged {}",
                               now.last_index.value(), last.value()));
  }
  const bool same_term = now.hard_state.term == hard_state.term;
  if (now.hard_state.term < hard_state.term ||
      (same_term && now.hard_state.vote != hard_state.vote)) {
    Violated(name, fmt::format("in term {} with a vote for {}; it had been in term {} and voted "
                               "for {}",
                               now.hard_state.term.value(), now.hard_state.vote.value(),
                               hard_state.term.value(), hard_state.vote.value()));
  }
}

}  // namespace coppice::sim
