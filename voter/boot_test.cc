#include "voter/boot.h"

#include <gtest/gtest.h>

namespace coppice::voter {
namespace {

constexpr std::size_t kRecord = 100;  // bytes of each entry's record

EntryPtr MakeEntry(std::uint64_t term, std::uint64_t index) {
  return Entry::Make(Term(term), Index(index), RecordKind::kCommand,
                     std::string(kRecord - kRecordHeaderSize, 'x'));
}

wal::Recovered RecoveredTo(std::uint64_t last, std::uint64_t commit) {
  wal::Recovered recovered;
  recovered.hard_state.term = Term(9);
  recovered.hard_state.commit = Index(commit);
  recovered.first_index = Index(1);
  recovered.last_index = Index(last);
  return recovered;
}

TEST(BootLog, KeepsTheNewestEntriesThatFitAndTheTermsOfAll) {
  BootLog boot(Index(100), 10 * kRecord);
  for (std::uint64_t i = 1; i <= 100; ++i) boot.Replay(MakeEntry(i <= 40 ? 2 : 3, i));
  const raft::BootState state = boot.Finish(RecoveredTo(100, 90), {});
  ASSERT_EQ(state.window.size(), 10U);
  EXPECT_EQ(state.window.front()->index(), Index(91));
  ASSERT_EQ(state.terms.size(), 2U);
  EXPECT_EQ(state.last_index, Index(100));
  EXPECT_EQ(state.applied, Index(100));
}

TEST(BootLog, KeepsWhatIsNotAppliedHoweverMuchThatIs) {
  BootLog boot(Index(20), 10 * kRecord);
  for (std::uint64_t i = 1; i <= 100; ++i) boot.Replay(MakeEntry(2, i));
  const raft::BootState state = boot.Finish(RecoveredTo(100, 90), {});
  ASSERT_EQ(state.window.size(), 80U);
  EXPECT_EQ(state.window.front()->index(), Index(21));
  EXPECT_EQ(state.window.back()->index(), Index(100));
}

TEST(BootLog, WhatIsAppliedIsCommittedAndNothingBehindTheEndIs) {
  BootLog applied_further(Index(7), 10 * kRecord);
  EXPECT_EQ(applied_further.Finish(RecoveredTo(8, 3), {}).hard_state.commit, Index(7));
  BootLog torn(Index(7), 10 * kRecord);
  EXPECT_EQ(torn.Finish(RecoveredTo(8, 12), {}).hard_state.commit, Index(8));
}

TEST(BootLog, AnEmptyLogIsAnEmptyWindow) {
  BootLog boot(Index(0), 10 * kRecord);
  const raft::BootState state = boot.Finish(RecoveredTo(0, 0), {});
  EXPECT_TRUE(state.window.empty());
  EXPECT_TRUE(state.terms.empty());
}

}  // namespace
}  // namespace coppice::voter
