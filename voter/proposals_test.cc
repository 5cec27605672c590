#include "voter/proposals.h"

#include <gtest/gtest.h>

#include <map>

namespace coppice::voter {
namespace {

using node::WriteOutcome;
using Kind = node::WriteOutcome::Kind;

class ProposalsTest : public testing::Test {
 protected:
  // Proposes for `loop` and has Raft accept it at (term, index).
  void Accept(int loop, std::uint64_t io_token, std::uint64_t term, std::uint64_t index) {
    proposals_.Proposed({proposals_.Add(loop, io_token), raft::Accepted{Term(term), Index(index)}});
  }
  void Append(std::uint64_t term, std::uint64_t index) {
    const std::vector<EntryPtr> entries{
        Entry::Make(Term(term), Index(index), RecordKind::kCommand, "x")};
    proposals_.Appended(entries);
  }
  void Apply(std::uint64_t term, std::uint64_t index, RecordKind kind = RecordKind::kCommand) {
    const std::vector<EntryPtr> entries{Entry::Make(Term(term), Index(index), kind, "x")};
    mvcc::ApplyOutput out;
    if (kind == RecordKind::kCommand) out.results.emplace_back(Index(index), mvcc::CommandResult());
    proposals_.Applied(entries, out);
  }
  // What loop `loop` was told of `token`, each once.
  Kind Told(int loop, std::uint64_t token) {
    proposals_.Flush();
    EXPECT_EQ(told_[loop].count(token), 1U) << "token " << token;
    const auto it = told_[loop].find(token);
    return it == told_[loop].end() ? Kind::kBusy : it->second;
  }
  bool Silent() {
    proposals_.Flush();
    return told_.empty();
  }

  std::map<int, std::multimap<std::uint64_t, Kind>> told_;
  Proposals proposals_{2, [this](int loop, std::vector<WriteOutcome> outcomes) {
                         for (const WriteOutcome& o : outcomes)
                           told_[loop].emplace(o.token, o.kind);
                       }};
};

TEST_F(ProposalsTest, TellsTheLoopThatAskedOnceItsEntryIsApplied) {
  Accept(1, 7, 2, 10);
  EXPECT_TRUE(Silent());
  Apply(2, 9);
  EXPECT_TRUE(Silent());
  Apply(2, 10);
  EXPECT_EQ(Told(1, 7), Kind::kApplied);
  EXPECT_EQ(proposals_.pending(), 0U);
}

TEST_F(ProposalsTest, AnEntryOfAnotherTermAtTheIndexIsNotTheAnswer) {
  Accept(0, 7, 2, 10);
  Apply(3, 10);
  EXPECT_EQ(Told(0, 7), Kind::kUnknown);
}

TEST_F(ProposalsTest, AnotherKindAtTheIndexIsNotTheAnswer) {
  Accept(0, 7, 2, 10);
  Apply(3, 10, RecordKind::kNoop);
  EXPECT_EQ(Told(0, 7), Kind::kUnknown);
}

TEST_F(ProposalsTest, ALaterLeadershipOverwritesWhatAnEarlierOneLeft) {
  Accept(0, 1, 2, 10);
  Accept(0, 2, 2, 11);
  Accept(1, 3, 2, 12);
  Accept(0, 4, 5, 11);
  EXPECT_EQ(Told(0, 2), Kind::kUnknown);
  EXPECT_EQ(Told(1, 3), Kind::kUnknown);
  Apply(2, 10);
  Apply(5, 11);
  EXPECT_EQ(Told(0, 1), Kind::kApplied);
  EXPECT_EQ(Told(0, 4), Kind::kApplied);
}

TEST_F(ProposalsTest, WhatAnotherLeaderOverwritesIsUnknownAtOnce) {
  Accept(0, 1, 2, 10);
  Accept(0, 2, 2, 11);
  Accept(1, 3, 2, 12);
  Append(3, 11);
  EXPECT_EQ(Told(0, 2), Kind::kUnknown);
  EXPECT_EQ(Told(1, 3), Kind::kUnknown);
  Apply(2, 10);
  EXPECT_EQ(Told(0, 1), Kind::kApplied);
  Apply(3, 11);
  EXPECT_EQ(proposals_.pending(), 0U);
}

TEST_F(ProposalsTest, WhatAnotherLeaderKeepsStillHasItsOutcome) {
  Accept(0, 1, 2, 10);
  Append(3, 11);
  EXPECT_TRUE(Silent());
  Apply(2, 10);
  EXPECT_EQ(Told(0, 1), Kind::kApplied);
}

TEST_F(ProposalsTest, OwnEntriesOverwriteNothing) {
  Accept(0, 1, 2, 10);
  Accept(0, 2, 2, 11);
  Append(2, 10);
  Append(2, 11);
  EXPECT_TRUE(Silent());
}

TEST_F(ProposalsTest, RefusalsSayThatNothingIsInTheLog) {
  proposals_.Proposed({proposals_.Add(0, 1), raft::NotLeader{}});
  proposals_.Proposed({proposals_.Add(0, 2), raft::Busy{}});
  EXPECT_EQ(Told(0, 1), Kind::kNotProposed);
  EXPECT_EQ(Told(0, 2), Kind::kBusy);
}

TEST_F(ProposalsTest, AChangeThatNobodyWaitsForTellsNobody) {
  proposals_.Proposed({UINT64_MAX, raft::Accepted{Term(2), Index(10)}});
  Apply(2, 10);
  EXPECT_TRUE(Silent());
}

TEST_F(ProposalsTest, AFreedTokenNamesOnlyItsNewAsker) {
  Accept(0, 1, 2, 10);
  Accept(1, 2, 2, 11);  // takes the token that the first one freed
  Apply(2, 10);
  Apply(2, 11);
  EXPECT_EQ(Told(0, 1), Kind::kApplied);
  EXPECT_EQ(Told(1, 2), Kind::kApplied);
}

}  // namespace
}  // namespace coppice::voter
