#include "common/raft/log.h"

#include <gtest/gtest.h>

namespace coppice::raft {
namespace {

EntryPtr At(std::uint64_t index, std::uint64_t term) {
  return Entry::Make(Term(term), Index(index), RecordKind::kCommand, "0123456789");
}

constexpr std::size_t kEntryBytes = kRecordHeaderSize + 10;

// Terms 1 1 2 2 2 5 of indices 1..6.
Log SomeLog() {
  Log log{BootState{}};
  for (const std::uint64_t term : {1, 1, 2, 2, 2, 5})
    log.Append(At(log.last_index().value() + 1, term));
  return log;
}

TEST(Log, KnowsTheTermOfEachEntry) {
  const Log log = SomeLog();
  EXPECT_EQ(log.last_index(), Index(6));
  EXPECT_EQ(log.last_term(), Term(5));
  const std::uint64_t terms[] = {0, 1, 1, 2, 2, 2, 5, 0};
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_EQ(log.TermAt(Index(i)), Term(terms[i])) << i;
  EXPECT_TRUE(log.Knows(Index(0)));
  EXPECT_FALSE(log.Knows(Index(7)));
}

TEST(Log, TheLaterLastTermIsMoreUpToDateThenTheLongerLog) {
  const Log log = SomeLog();
  EXPECT_TRUE(log.UpToDate(Index(6), Term(5)));
  EXPECT_TRUE(log.UpToDate(Index(1), Term(6)));
  EXPECT_FALSE(log.UpToDate(Index(9), Term(4)));
  EXPECT_FALSE(log.UpToDate(Index(5), Term(5)));
}

TEST(Log, FindsWhereLogsCanAgreeATermAtATime) {
  const Log log = SomeLog();
  EXPECT_EQ(log.LastNotAbove(Index(6), Term(5)), Index(6));
  EXPECT_EQ(log.LastNotAbove(Index(6), Term(4)), Index(5));
  EXPECT_EQ(log.LastNotAbove(Index(4), Term(2)), Index(4));
  EXPECT_EQ(log.LastNotAbove(Index(6), Term(1)), Index(2));
  EXPECT_EQ(log.LastNotAbove(Index(9), Term(9)), Index(6));
  EXPECT_EQ(log.LastNotAbove(Index(6), Term(0)), Index(0));
}

TEST(Log, TruncationForgetsEntriesTermsAndBytes) {
  Log log = SomeLog();
  log.TruncateFrom(Index(4));
  EXPECT_EQ(log.last_index(), Index(3));
  EXPECT_EQ(log.last_term(), Term(2));
  EXPECT_EQ(log.window_bytes(), 3 * kEntryBytes);
  log.Append(At(4, 3));
  EXPECT_EQ(log.TermAt(Index(4)), Term(3));
  log.TruncateFrom(Index(1));
  EXPECT_EQ(log.last_term(), Term(0));
}

TEST(Log, CopyStopsAtTheByteLimitAfterOneAtLeast) {
  const Log log = SomeLog();
  std::vector<EntryPtr> out;
  EXPECT_EQ(log.Copy(Index(2), Index(9), 2 * kEntryBytes, out), 2 * kEntryBytes);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0]->index(), Index(2));
  out.clear();
  log.Copy(Index(2), Index(4), 1, out);
  EXPECT_EQ(out.size(), 1U);
  out.clear();
  EXPECT_EQ(log.Copy(Index(7), Index(9), 100, out), 0U);
}

TEST(Log, OnlyAppliedEntriesLeaveTheWindow) {
  Log log = SomeLog();
  log.TrimWindow(Index(2), 0);
  EXPECT_EQ(log.first_in_window(), Index(3));
  EXPECT_EQ(log.TermAt(Index(1)), Term(1)) << "terms stay known";
  log.TrimWindow(Index(6), 2 * kEntryBytes);
  EXPECT_EQ(log.first_in_window(), Index(5));
  log.TrimWindow(Index(6), 0);
  EXPECT_EQ(log.first_in_window(), Index(7));
  EXPECT_EQ(log.last_index(), Index(6));
}

TEST(Log, CompactionKeepsTheTermOfItsLastEntry) {
  Log log = SomeLog();
  log.Compact(Index(4));
  EXPECT_EQ(log.TermAt(Index(4)), Term(2));
  EXPECT_EQ(log.TermAt(Index(5)), Term(2));
  EXPECT_FALSE(log.Knows(Index(3)));
  EXPECT_EQ(log.LastNotAbove(Index(6), Term(1)), Index(4));
  log.Compact(Index(6));
  EXPECT_EQ(log.last_term(), Term(5));
  log.Append(At(7, 6));
  EXPECT_EQ(log.TermAt(Index(7)), Term(6));
  EXPECT_EQ(log.TermAt(Index(6)), Term(5));
}

TEST(Log, ASnapshotReplacesEverything) {
  Log log = SomeLog();
  log.Restart(Index(50), Term(8));
  EXPECT_EQ(log.last_index(), Index(50));
  EXPECT_EQ(log.last_term(), Term(8));
  EXPECT_EQ(log.first_in_window(), Index(51));
  EXPECT_EQ(log.window_bytes(), 0U);
  log.Append(At(51, 8));
  EXPECT_EQ(log.TermAt(Index(51)), Term(8));
}

TEST(Log, StartsFromWhatWasStored) {
  BootState boot;
  boot.snapshot_index = Index(10);
  boot.snapshot_term = Term(2);
  boot.terms = {{Index(11), Term(2)}, {Index(13), Term(4)}};
  boot.window = {At(13, 4), At(14, 4)};
  boot.last_index = Index(14);
  boot.applied = Index(12);
  const Log log(boot);
  EXPECT_EQ(log.TermAt(Index(10)), Term(2));
  EXPECT_EQ(log.TermAt(Index(12)), Term(2));
  EXPECT_EQ(log.last_term(), Term(4));
  EXPECT_EQ(log.first_in_window(), Index(13));
}

TEST(LogDeathTest, AStateAheadOfTheLogIsRefused) {
  BootState boot;
  boot.applied = Index(3);
  EXPECT_DEATH(Log{boot}, "ahead of the log");
}

}  // namespace
}  // namespace coppice::raft
