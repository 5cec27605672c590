#include "common/replica/tail_source.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace coppice::replica {
namespace {

using Source = TailSource;
constexpr std::uint64_t kCluster = 9;

std::vector<EntryPtr> Range(std::uint64_t from, std::uint64_t to, std::size_t bytes = 68,
                            std::uint64_t term = 1) {
  std::vector<EntryPtr> out;
  for (std::uint64_t i = from; i <= to; ++i) {
    out.push_back(Entry::Make(Term(term), Index(i), RecordKind::kCommand,
                              std::string(bytes, static_cast<char>('a' + i % 26))));
  }
  return out;
}

struct Fixture {
  explicit Fixture(bool voter = false, std::size_t window = 64U << 20)
      : source({kCluster, NodeId(1), voter, window}) {}
  Source::Output& Do(const Source::Input& input) {
    out.Clear();
    source.Step(now, input, out);
    return out;
  }
  Source::Output& Subscribe(std::uint64_t index, std::uint64_t term,
                            std::uint64_t credit = 1U << 20, NodeId node = NodeId(50)) {
    Do(Source::Connected{5});
    return Do(Source::Subscribe{5, {kCluster, node, Index(index), Term(term), credit}});
  }
  Time now = 1000 * kSecond;
  Source source;
  Source::Output out;
};

TEST(TailSource, SendsWhatASubscriberLacksAtOnceAndThenWhatIsCommitted) {
  Fixture f;
  f.Do(Source::Committed{Range(1, 3)});
  f.Subscribe(1, 1);
  ASSERT_EQ(f.out.entries.size(), 1U);
  EXPECT_EQ(f.out.entries[0].message.entries.front()->index(), Index(2));
  EXPECT_EQ(f.out.entries[0].message.commit, Index(3));
  f.now += 2 * kMillisecond;
  f.Do(Source::Committed{Range(4, 4)});
  ASSERT_EQ(f.out.entries.size(), 1U) << "idle: at once";
  EXPECT_EQ(f.out.entries[0].message.entries.size(), 1U);
}

TEST(TailSource, AnotherTermAtTheIndexIsRefused) {
  Fixture f;
  f.Do(Source::Committed{Range(1, 3)});
  ASSERT_EQ(f.Subscribe(2, 7).refused.size(), 1U);
  EXPECT_EQ(f.out.refused[0].message.reason, TailRefusal::kMismatch);
  EXPECT_TRUE(f.Do(Source::Committed{Range(4, 4)}).entries.empty());
}

TEST(TailSource, AnotherClusterIsRefused) {
  Fixture f;
  f.Do(Source::Connected{5});
  f.Do(Source::Subscribe{5, {kCluster + 1, NodeId(50), Index(0), Term(0), 1}});
  EXPECT_EQ(f.out.refused.at(0).message.reason, TailRefusal::kOtherCluster);
}

TEST(TailSource, OneAheadWaitsAndIsThenVerified) {
  Fixture f;
  f.Do(Source::Committed{Range(1, 3)});
  f.Subscribe(5, 1);
  EXPECT_TRUE(f.out.entries.empty() && f.out.refused.empty());
  EXPECT_TRUE(f.Do(Source::Committed{Range(4, 5)}).entries.empty());
  EXPECT_EQ(f.Do(Source::Committed{Range(6, 6)}).entries.size(), 1U);
  Fixture g;
  g.Do(Source::Committed{Range(1, 3)});
  g.Subscribe(5, 1);
  g.Do(Source::Committed{Range(4, 6, 68, 2)});
  EXPECT_EQ(g.out.refused.at(0).message.reason, TailRefusal::kMismatch);
}

TEST(TailSource, BelowTheWindowARelaySaysBehindAndWhereVotersAre) {
  Fixture f(false, 1000);
  f.Do(Source::Voters{{"a", "b"}});
  f.Do(Source::Committed{Range(1, 100)});
  EXPECT_LE(f.source.window_bytes(), 1000U);
  ASSERT_EQ(f.Subscribe(5, 1).behind.size(), 1U);
  EXPECT_EQ(f.out.behind[0].message.first_index, f.source.first_index());
  EXPECT_EQ(f.out.behind[0].message.voters, (std::vector<std::string>{"a", "b"}));
}

TEST(TailSource, BelowTheWindowAVoterReadsItsLogAndVerifiesThere) {
  Fixture f(true, 1000);
  f.Do(Source::Committed{Range(1, 100)});
  ASSERT_EQ(f.Subscribe(5, 1).read_wal.size(), 1U);
  EXPECT_EQ(f.out.read_wal[0].from, Index(5));
  f.Do(Source::WalRead{5, Range(5, 8), Index(1)});
  ASSERT_EQ(f.out.entries.size(), 1U);
  EXPECT_EQ(f.out.entries[0].message.entries.front()->index(), Index(6));
  ASSERT_EQ(f.out.read_wal.size(), 1U);
  EXPECT_EQ(f.out.read_wal[0].from, Index(9));
  f.Do(Source::WalRead{5, Range(9, 120), Index(1)});
  EXPECT_EQ(f.out.entries.at(0).message.entries.back()->index(), Index(100))
      << "uncommitted entries of the log stay there";
}

// However much the subscriber grants: all of the log would be read into memory at once.
TEST(TailSource, ReadsNoMoreOfTheLogThanSixtyFourMebibytesAhead) {
  Fixture f(true, 1000);
  f.Do(Source::Committed{Range(1, 100, 1 << 20)});
  f.Subscribe(0, 0, 1ULL << 40);
  std::uint64_t next = 1;
  for (; !f.out.read_wal.empty() && next <= 100; ++next) {
    EXPECT_EQ(f.out.read_wal[0].from, Index(next));
    f.Do(Source::WalRead{5, Range(next, next, 1 << 20), Index(1)});
  }
  EXPECT_GT(next, 60U);
  EXPECT_LT(next, 70U);
  f.Do(Source::Credit{5, 1U << 20});
  EXPECT_EQ(f.out.read_wal.size(), 1U);
}

TEST(TailSource, AVoterWhoseLogNoLongerHasItSaysBehindAndAMismatchThereIsRefused) {
  Fixture f(true, 1000);
  f.Do(Source::Committed{Range(1, 100)});
  f.Subscribe(5, 1);
  EXPECT_EQ(f.Do(Source::WalRead{5, {}, Index(50)}).behind.at(0).message.first_index, Index(50));
  f.Subscribe(5, 3);
  EXPECT_EQ(f.Do(Source::WalRead{5, Range(5, 8), Index(1)}).refused.size(), 1U);
}

TEST(TailSource, UnderLoadFramesGatherToAMillisecondOr32KiB) {
  Fixture f;
  f.Subscribe(0, 0);
  EXPECT_EQ(f.Do(Source::Committed{Range(1, 1)}).entries.size(), 1U);
  f.now += 100;
  EXPECT_TRUE(f.Do(Source::Committed{Range(2, 2)}).entries.empty());
  EXPECT_EQ(f.source.NextDeadline(), f.now + 900);
  EXPECT_TRUE(f.Do(Source::Committed{Range(3, 3)}).entries.empty());
  f.now += 900;
  ASSERT_EQ(f.Do(Source::Timer{}).entries.size(), 1U);
  EXPECT_EQ(f.out.entries[0].message.entries.size(), 2U);
  f.now += 100;
  EXPECT_EQ(f.Do(Source::Committed{Range(4, 4, 40000)}).entries.size(), 1U);
}

TEST(TailSource, EntriesLeaveBeforeAReadIndexAnswer) {
  Fixture f;
  f.Subscribe(0, 0);
  f.Do(Source::Committed{Range(1, 1)});
  f.Do(Source::Committed{Range(2, 2)});
  EXPECT_EQ(f.Do(Source::BeforeAnswer{5}).entries.size(), 1U);
  EXPECT_TRUE(f.Do(Source::BeforeAnswer{5}).entries.empty());
}

TEST(TailSource, CreditHoldsASubscriberBack) {
  Fixture f;
  f.Do(Source::Committed{Range(1, 100)});
  f.Subscribe(0, 0, 250);
  EXPECT_EQ(f.out.entries.at(0).message.entries.size(), 3U) << "100 bytes each, one over";
  f.now += 2 * kMillisecond;
  EXPECT_TRUE(f.Do(Source::Timer{}).entries.empty());
  EXPECT_EQ(f.Do(Source::Credit{5, 150}).entries.at(0).message.entries.size(), 1U);
}

TEST(TailSource, ASubscriberOnOurOwnPathOrTooDeepIsRefused) {
  Fixture f;
  f.Do(Source::PathChanged{{NodeId(1), NodeId(50), NodeId(3)}});
  EXPECT_EQ(f.Subscribe(0, 0).refused.at(0).message.reason, TailRefusal::kLoop);
  std::vector<NodeId> deep;
  for (std::uint64_t i = 1; i <= 9; ++i) deep.emplace_back(i);
  f.Do(Source::PathChanged{deep});
  EXPECT_EQ(f.Subscribe(0, 0).refused.at(0).message.reason, TailRefusal::kTooDeep);
  deep.pop_back();
  f.Do(Source::PathChanged{deep});
  EXPECT_TRUE(f.Subscribe(0, 0).refused.empty());
  f.Do(Source::PathChanged{{NodeId(1), NodeId(50)}});
  EXPECT_EQ(f.out.refused.size(), 1U) << "a path that changes is looked at again";
}

TEST(TailSource, ALeaderSendsSubscribersToFollowersUnlessTheyInsist) {
  Fixture f(true);
  f.Subscribe(0, 0);
  f.Do(Source::LeaderChanged{true, {"v2:1", "v3:1"}});
  ASSERT_EQ(f.out.refused.size(), 1U);
  EXPECT_EQ(f.out.refused[0].message.instead.size(), 2U);
  f.Do(Source::Subscribe{5, {kCluster, NodeId(50), Index(0), Term(0), 1000, true}});
  EXPECT_TRUE(f.out.refused.empty());
}

TEST(TailSource, TellsItsStateOnConnectingAtEachHeartbeatAndWhenThePathChanges) {
  Fixture f;
  f.Do(Source::RoundConfirmed{f.now - 30});
  ASSERT_EQ(f.Do(Source::Connected{5}).state.size(), 1U);
  EXPECT_EQ(f.out.state[0].message.round_age, 30);
  EXPECT_EQ(f.Do(Source::PathChanged{{NodeId(1), NodeId(3)}}).state.size(), 1U);
  f.now = f.source.NextDeadline();
  EXPECT_EQ(f.Do(Source::Timer{}).state.size(), 1U);
  f.Do(Source::Gone{5});
  EXPECT_EQ(f.source.NextDeadline(), kNever);
}

TEST(TailSource, AfterASnapshotTheWindowStartsAnew) {
  Fixture f;
  f.Do(Source::Committed{Range(1, 10)});
  f.Subscribe(8, 1);
  f.Do(Source::Restarted{Index(50), Term(2)});
  f.Do(Source::Committed{Range(51, 51, 10, 2)});
  EXPECT_EQ(f.out.behind.size() + f.out.entries.size(), 0U) << "the subscription has ended";
  EXPECT_EQ(f.Subscribe(50, 2).entries.at(0).message.entries.front()->index(), Index(51));
}

}  // namespace
}  // namespace coppice::replica
