#include "voter/boot.h"

#include <algorithm>
#include <utility>

namespace coppice::voter {

void BootLog::Replay(const EntryPtr& entry) {
  if (terms_.empty() || terms_.back().term != entry->term()) {
    terms_.push_back({entry->index(), entry->term()});
  }
  window_.push_back(entry);
  bytes_ += entry->record().size();
  while (bytes_ > window_bytes_ && window_[begin_]->index() <= applied_) {
    bytes_ -= window_[begin_]->record().size();
    window_[begin_++].reset();
  }
  if (begin_ > window_.size() / 2) {
    window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
}

raft::BootState BootLog::Finish(const wal::Recovered& recovered,
                                raft::Configuration configuration) {
  raft::BootState boot;
  boot.hard_state.term = recovered.hard_state.term;
  boot.hard_state.vote = recovered.hard_state.vote;
  // A torn tail may have taken what the hint speaks of; what is applied was committed.
  boot.hard_state.commit =
      std::min(std::max(recovered.hard_state.commit, applied_), recovered.last_index);
  boot.configuration = std::move(configuration);
  boot.last_index = recovered.last_index;
  boot.terms = std::move(terms_);
  boot.window.assign(window_.begin() + static_cast<std::ptrdiff_t>(begin_), window_.end());
  boot.applied = applied_;
  return boot;
}

}  // namespace coppice::voter
