#include "common/raft/log.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace coppice::raft {

Log::Log(const BootState& boot)
    : snapshot_index_(boot.snapshot_index),
      snapshot_term_(boot.snapshot_term),
      last_index_(boot.last_index),
      runs_(boot.terms),
      window_(boot.window.begin(), boot.window.end()) {
  COPPICE_CHECK(boot.applied <= boot.last_index, "the state is ahead of the log");
  COPPICE_CHECK(boot.applied >= boot.snapshot_index, "entries to apply are gone");
  COPPICE_CHECK(first_in_window() <= boot.applied + 1, "the window misses entries to apply");
  for (const EntryPtr& entry : window_) window_bytes_ += entry->record().size();
}

bool Log::Knows(Index index) const {
  return index >= snapshot_index_ && index <= last_index_;
}

Term Log::TermAt(Index index) const {
  if (index == snapshot_index_) return snapshot_term_;
  if (index < snapshot_index_ || index > last_index_) return Term(0);
  // Nearly every question is about the newest run.
  if (runs_.back().first <= index) return runs_.back().term;
  const auto next =
      std::upper_bound(runs_.begin(), runs_.end(), index,
                       [](Index wanted, const TermRun& run) { return wanted < run.first; });
  return std::prev(next)->term;
}

bool Log::UpToDate(Index last_index, Term last_term) const {
  return last_term != this->last_term() ? last_term > this->last_term() : last_index >= last_index_;
}

Index Log::LastNotAbove(Index index, Term term) const {
  index = std::min(index, last_index_);
  while (index > snapshot_index_ && TermAt(index) > term) {
    const Term above = TermAt(index);
    const auto run =
        std::lower_bound(runs_.begin(), runs_.end(), above,
                         [](const TermRun& r, Term wanted) { return r.term < wanted; });
    index = run->first - 1;
  }
  return index;
}

const EntryPtr& Log::At(Index index) const {
  COPPICE_CHECK(index >= first_in_window() && index <= last_index_);
  return window_[index - first_in_window()];
}

std::size_t Log::Copy(Index from, Index to, std::size_t bytes_max,
                      std::vector<EntryPtr>& out) const {
  COPPICE_CHECK(from >= first_in_window());
  to = std::min(to, last_index_);
  if (from > to) return 0;
  std::size_t bytes = 0;
  auto it = window_.begin() + static_cast<std::ptrdiff_t>(from - first_in_window());
  out.reserve(out.size() + (to - from) + 1);
  for (Index index = from; index <= to; ++index, ++it) {
    const std::size_t size = (*it)->record().size();
    if (bytes > 0 && bytes + size > bytes_max) break;
    bytes += size;
    out.push_back(*it);
  }
  return bytes;
}

void Log::Append(EntryPtr entry) {
  COPPICE_CHECK(entry->index() == last_index_ + 1, "a log has no gaps");
  COPPICE_CHECK(entry->term() >= last_term(), "terms never decrease along a log");
  if (entry->term() != last_term() || runs_.empty()) {
    runs_.push_back({entry->index(), entry->term()});
  }
  window_bytes_ += entry->record().size();
  last_index_ = entry->index();
  window_.push_back(std::move(entry));
}

void Log::TruncateFrom(Index first) {
  COPPICE_CHECK(first >= first_in_window() && first > snapshot_index_);
  while (last_index_ >= first) {
    window_bytes_ -= window_.back()->record().size();
    window_.pop_back();
    --last_index_;
  }
  while (!runs_.empty() && runs_.back().first > last_index_) runs_.pop_back();
}

void Log::Restart(Index index, Term term) {
  window_.clear();
  window_bytes_ = 0;
  runs_.clear();
  snapshot_index_ = last_index_ = index;
  snapshot_term_ = term;
}

void Log::Compact(Index index) {
  if (index <= snapshot_index_ || index > last_index_) return;
  snapshot_term_ = TermAt(index);
  snapshot_index_ = index;
  auto keep = runs_.begin();
  while (std::next(keep) != runs_.end() && std::next(keep)->first <= index + 1) ++keep;
  runs_.erase(runs_.begin(), keep);
  if (index == last_index_) {
    runs_.clear();
  } else {
    runs_.front().first = std::max(runs_.front().first, index + 1);
  }
}

void Log::TrimWindow(Index applied, std::size_t bytes_max) {
  while (window_bytes_ > bytes_max && first_in_window() <= applied && !window_.empty()) {
    window_bytes_ -= window_.front()->record().size();
    window_.pop_front();
  }
}

}  // namespace coppice::raft
