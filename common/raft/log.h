#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "common/base/entry.h"
#include "common/raft/types.h"

namespace coppice::raft {

// What a node knows of its log: the term of every entry that the WAL has, as runs, and the newest
// entries themselves, the window. Older ones are read from the WAL when a peer needs them.
//
// Invariants: the window is contiguous and ends at last_index; terms never decrease along the log;
// snapshot_index <= last_index.
class Log {
 public:
  explicit Log(const BootState& boot);

  Index snapshot_index() const { return snapshot_index_; }  // the WAL begins after it
  Term snapshot_term() const { return snapshot_term_; }
  Index last_index() const { return last_index_; }
  Term last_term() const { return runs_.empty() ? snapshot_term_ : runs_.back().term; }
  Index first_in_window() const { return last_index_ - window_.size() + 1; }
  std::size_t window_bytes() const { return window_bytes_; }

  // Whether the term of `index` is known: snapshot_index <= index <= last_index.
  bool Knows(Index index) const;
  // 0 if it is not known.
  Term TermAt(Index index) const;
  bool Matches(Index index, Term term) const { return Knows(index) && TermAt(index) == term; }
  // Thesis section 3.6.1: the later last term wins, then the longer log.
  bool UpToDate(Index last_index, Term last_term) const;
  // The largest known index, at most `index`, whose term is at most `term`: where logs that differ
  // at `index` can agree at the latest (fast backup, thesis section 3.5).
  Index LastNotAbove(Index index, Term term) const;

  const EntryPtr& At(Index index) const;  // must be in the window
  // Appends the window's entries of [from, to] to `out`, at most `bytes_max` but one at least.
  // `from` must be in the window. Returns their bytes.
  std::size_t Copy(Index from, Index to, std::size_t bytes_max, std::vector<EntryPtr>& out) const;

  void Append(EntryPtr entry);           // the one after last_index
  void TruncateFrom(Index first);        // drops `first` and all after it; they are in the window
  void Restart(Index index, Term term);  // a snapshot replaced everything
  void Compact(Index index);             // the WAL dropped everything up to `index`
  // Forgets the oldest entries of a window over `bytes_max`, none after `applied`.
  void TrimWindow(Index applied, std::size_t bytes_max);

 private:
  Index snapshot_index_;
  Term snapshot_term_;
  Index last_index_;
  std::vector<TermRun> runs_;  // of (snapshot_index, last_index], ascending
  std::deque<EntryPtr> window_;
  std::size_t window_bytes_ = 0;
};

}  // namespace coppice::raft
