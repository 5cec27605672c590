#include "common/raft/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace coppice::raft {
namespace {

// Node 1 of `voters`, whose peers the test plays.
class CoreTest : public testing::Test {
 protected:
  void Start(std::uint64_t voters, Config config = {}) {
    BootState boot;
    for (std::uint64_t id = 1; id <= voters; ++id) boot.configuration.voters.emplace_back(id);
    config.id = NodeId(1);
    core_ = std::make_unique<Core>(config, boot, Rng(1), now_);
  }

  void Step(Input input) { core_->Step(now_, std::move(input), out_); }
  Output Take() { return std::exchange(out_, {}); }
  void From(std::uint64_t peer, Message message) {
    Step(Received{NodeId(peer), std::move(message)});
  }

  void Accept(std::uint64_t peer, std::uint64_t match, std::uint64_t round = 0) {
    AppendReply reply;
    reply.term = core_->status().term;
    reply.ok = true;
    reply.match = Index(match);
    reply.round = round;
    From(peer, reply);
  }

  // Elects node 1, with its no-op committed and applied everywhere.
  void Lead(std::uint64_t voters, const Config& config = {}) {
    Start(voters, config);
    now_ = core_->NextDeadline();
    Step(Timer{});
    for (std::uint64_t id = 2; id <= voters; ++id) From(id, PreVoteReply{Term(1), true});
    for (std::uint64_t id = 2; id <= voters; ++id) From(id, VoteReply{Term(1), true});
    ASSERT_EQ(core_->status().role, Role::kLeader);
    Step(Appended{Term(1), Index(1)});
    for (std::uint64_t id = 2; id <= voters; ++id) Accept(id, 1);
    Step(Applied{Index(1)});
    Take();
  }

  void Propose(int count, std::size_t size = 10) {
    raft::Propose propose;
    for (int i = 0; i < count; ++i) {
      const std::string value(size, 'v');
      propose.proposals.push_back({1, RecordKind::kCommand, value, Entry::PayloadCrc(value)});
    }
    Step(std::move(propose));
  }

  static std::vector<Append> Appends(const Output& out, std::uint64_t to) {
    std::vector<Append> appends;
    for (const Outbound& sent : out.send_now) {
      const auto* append = std::get_if<Append>(&sent.message);
      if (append != nullptr && sent.to == NodeId(to)) appends.push_back(*append);
    }
    return appends;
  }

  Append FromLeader(std::uint64_t prev, std::uint64_t prev_term, std::uint64_t term,
                    std::vector<std::uint64_t> entry_terms) {
    Append append;
    append.term = Term(term);
    append.prev_index = Index(prev);
    append.prev_term = Term(prev_term);
    for (const std::uint64_t t : entry_terms) {
      append.entries.push_back(Entry::Make(Term(t), Index(++prev), RecordKind::kCommand, "x"));
    }
    return append;
  }

  // A follower with two durable entries of term 1; of term 2 comes another second one, committed.
  void StartAndOverwriteTheSecondEntry() {
    Start(3);
    From(2, FromLeader(0, 0, 1, {1, 1}));
    Step(Appended{Term(1), Index(2)});
    Take();
    Append overwrite = FromLeader(1, 1, 2, {2});
    overwrite.commit = Index(2);
    From(3, overwrite);
  }

  Time now_ = kSecond;
  std::unique_ptr<Core> core_;
  Output out_;
};

TEST_F(CoreTest, ManyProposalsAreOneAppendPerPeer) {
  Lead(5);
  Propose(256);
  const Output out = Take();
  EXPECT_EQ(out.append.size(), 256U);
  EXPECT_EQ(out.proposed.size(), 256U);
  EXPECT_EQ(out.send_now.size(), 4U);
  for (std::uint64_t peer = 2; peer <= 5; ++peer) {
    ASSERT_EQ(Appends(out, peer).size(), 1U);
    EXPECT_EQ(Appends(out, peer)[0].entries.size(), 256U);
  }
}

TEST_F(CoreTest, AppendsAreCutAtTheirByteLimit) {
  Config config;
  config.append_bytes_max = 1000;
  Lead(3, config);
  Propose(10, 300);
  const std::vector<Append> appends = Appends(Take(), 2);
  ASSERT_EQ(appends.size(), 2U) << "two rounds are under way at most";
  EXPECT_EQ(appends[0].entries.size(), 3U);
  EXPECT_EQ(appends[1].prev_index, Index(4));
}

TEST_F(CoreTest, ProposalsBeyondTheUncommittedLimitAreRefused) {
  Config config;
  config.uncommitted_bytes_max = 1000;
  Lead(3, config);
  Propose(4, 300);
  Output out = Take();
  EXPECT_TRUE(std::holds_alternative<Accepted>(out.proposed[2].outcome));
  EXPECT_TRUE(std::holds_alternative<Busy>(out.proposed[3].outcome));
  EXPECT_EQ(out.append.size(), 3U);
  Step(Appended{Term(1), Index(4)});
  Accept(2, 4);
  Take();
  Propose(1, 300);
  EXPECT_TRUE(std::holds_alternative<Accepted>(Take().proposed[0].outcome));
}

TEST_F(CoreTest, ReadsOfOneTurnShareTheirProbes) {
  Lead(5);
  Step(ReadIndexRequest{1});
  Step(ReadIndexRequest{2});
  Propose(1);
  const Output out = Take();
  // The probe that has not left becomes the append, and carries the newest round.
  for (const std::uint64_t peer : {2, 3}) {
    ASSERT_EQ(Appends(out, peer).size(), 1U);
    EXPECT_EQ(Appends(out, peer)[0].round, 2U);
    EXPECT_EQ(Appends(out, peer)[0].entries.size(), 1U);
  }
  Accept(2, 1, 2);
  EXPECT_TRUE(out_.reads.empty());
  Accept(3, 1, 2);
  const Output ready = Take();
  ASSERT_EQ(ready.reads.size(), 2U);
  EXPECT_EQ(ready.reads[0].index, Index(1)) << "the commit index at receipt";
}

TEST_F(CoreTest, AnEchoOfAnEarlierRoundConfirmsNothing) {
  Lead(3);
  Step(ReadIndexRequest{1});
  Take();
  Step(ReadIndexRequest{2});
  Take();
  Accept(2, 1, 1);
  Output out = Take();
  ASSERT_EQ(out.reads.size(), 1U);
  EXPECT_EQ(out.reads[0].id, 1U);
  Accept(3, 1, 2);
  out = Take();
  ASSERT_EQ(out.reads.size(), 1U);
  EXPECT_EQ(out.reads[0].id, 2U);
}

TEST_F(CoreTest, ARefusedAppendOfThisTermStillConfirms) {
  Lead(3);
  Step(ReadIndexRequest{1});
  AppendReply refused;
  refused.term = Term(1);
  refused.prev_index = Index(1);
  refused.round = 1;
  From(2, refused);
  EXPECT_EQ(Take().reads.size(), 1U);
}

TEST_F(CoreTest, SteppingDownRefusesEveryRead) {
  Lead(3);
  Step(ReadIndexRequest{1});
  Step(ReadIndexRequest{2});
  Take();
  From(2, AppendReply{Term(5), false, {}, {}, {}, {}, 2});
  const Output out = Take();
  EXPECT_TRUE(out.reads.empty());
  EXPECT_EQ(out.reads_refused.size(), 2U);
  EXPECT_EQ(core_->status().role, Role::kFollower);
  EXPECT_EQ(core_->status().term, Term(5));
}

TEST_F(CoreTest, OnlyWhatIsDurableIsAcknowledged) {
  Start(3);
  From(2, FromLeader(0, 0, 1, {1, 1}));
  Output out = Take();
  ASSERT_EQ(out.send_after_durable.size(), 1U);
  EXPECT_EQ(std::get<AppendReply>(out.send_after_durable[0].message).match, Index(2));
  EXPECT_TRUE(out.send_now.empty());
  // A heartbeat comes while the write is under way.
  Append heartbeat = FromLeader(2, 1, 1, {});
  heartbeat.round = 1;
  From(2, heartbeat);
  out = Take();
  ASSERT_EQ(out.send_now.size(), 1U);
  EXPECT_EQ(std::get<AppendReply>(out.send_now[0].message).match, Index(0));
  EXPECT_EQ(std::get<AppendReply>(out.send_now[0].message).round, 1U);
}

TEST_F(CoreTest, AppliesOnlyWhatIsCommittedAndDurable) {
  Start(3);
  Append append = FromLeader(0, 0, 1, {1, 1, 1});
  append.commit = Index(2);
  From(2, append);
  EXPECT_TRUE(Take().apply.empty());
  EXPECT_EQ(core_->status().commit, Index(2));
  Step(Appended{Term(1), Index(3)});
  EXPECT_EQ(Take().apply.size(), 2U);
}

TEST_F(CoreTest, ALateAppendedOfAnOverwrittenEntryDoesNotCount) {
  StartAndOverwriteTheSecondEntry();
  Output out = Take();
  ASSERT_EQ(out.append.size(), 1U);
  EXPECT_EQ(out.append[0]->term(), Term(2));
  Step(Appended{Term(1), Index(2)});
  EXPECT_THAT(Take().apply, testing::IsEmpty());
  Step(Appended{Term(2), Index(2)});
  EXPECT_EQ(Take().apply.size(), 1U) << "the first was handed out before";
}

// The record may reach the disk and the entries behind it not: what is on the disk at index 2 is
// then that of term 1, which was never committed.
TEST_F(CoreTest, TheSavedCommitIndexCoversNoEntryThatIsNotDurable) {
  StartAndOverwriteTheSecondEntry();
  From(2, FromLeader(2, 2, 3, {}));
  const Output out = Take();
  EXPECT_EQ(core_->status().commit, Index(2));
  EXPECT_EQ(out.hard_state->term, Term(3));
  EXPECT_EQ(out.hard_state->commit, Index(1));
}

TEST_F(CoreTest, OutputsOfTwoStepsAreOneWriteOfWhatStands) {
  Start(3);
  From(2, FromLeader(0, 0, 1, {1, 1}));
  Step(Appended{Term(1), Index(2)});
  Output both = Take();
  From(3, FromLeader(1, 1, 2, {2}));
  Output later = Take();
  both.Take(later);
  ASSERT_EQ(both.append.size(), 2U);
  EXPECT_EQ(both.append.back()->term(), Term(2)) << "in place of the one of term 1";
  EXPECT_EQ(both.hard_state->term, Term(2));
  EXPECT_GE(both.send_after_durable.size(), 2U);
  EXPECT_FALSE(later.needs_sync());
  EXPECT_TRUE(later.send_after_durable.empty());
}

TEST_F(CoreTest, InputsOfOneTurnShareOneWrite) {
  Start(3);
  From(2, FromLeader(0, 0, 1, {1}));
  From(2, FromLeader(1, 1, 1, {1, 1}));
  const Output out = Take();
  EXPECT_EQ(out.append.size(), 3U);
  EXPECT_EQ(std::get<AppendReply>(out.send_after_durable.back().message).match, Index(3));
}

TEST_F(CoreTest, ACommitIndexAloneIsNotAnswered) {
  Start(3);
  From(2, FromLeader(0, 0, 1, {1}));
  Step(Appended{Term(1), Index(1)});
  Take();
  Append commit = FromLeader(1, 1, 1, {});
  commit.commit = Index(1);
  From(2, commit);
  Output out = Take();
  EXPECT_EQ(out.apply.size(), 1U);
  EXPECT_TRUE(out.send_now.empty() && out.send_after_durable.empty());
  now_ += 100 * kMillisecond;
  From(2, commit);
  EXPECT_EQ(Take().send_now.size(), 1U) << "a heartbeat is";
}

TEST_F(CoreTest, CommitIsToldWithinAMillisecondWhenBusy) {
  Lead(3);
  Propose(1);
  Take();
  Propose(1);
  Take();
  Step(Appended{Term(1), Index(2)});
  Accept(2, 2);
  EXPECT_TRUE(Take().send_now.empty()) << "the third entry is on its way: nothing to ride on yet";
  EXPECT_LE(core_->NextDeadline(), now_ + kMillisecond);
  now_ += kMillisecond;
  Step(Timer{});
  const Output out = Take();
  ASSERT_EQ(Appends(out, 2).size(), 1U);
  EXPECT_EQ(Appends(out, 2)[0].commit, Index(2));
}

TEST_F(CoreTest, EntriesOutsideTheWindowAreReadFromTheLog) {
  Config config;
  config.window_bytes_max = 0;
  Lead(3, config);
  Propose(3);
  Step(Appended{Term(1), Index(4)});
  Accept(2, 4);
  const Output committed = Take();
  const std::vector<EntryPtr> entries = committed.append;
  Step(Applied{Index(4)});
  EXPECT_EQ(core_->status().first_in_window, Index(5));
  // Node 3 has lost its appends.
  AppendReply refused;
  refused.term = Term(1);
  refused.prev_index = Index(4);
  refused.hint_index = Index(1);
  refused.hint_term = Term(1);
  From(3, refused);
  Take();
  Accept(3, 1);
  const Output out = Take();
  ASSERT_EQ(out.read_log.size(), 1U);
  EXPECT_EQ(out.read_log[0].from, Index(2));
  EXPECT_EQ(out.read_log[0].to, Index(4));
  Step(EntriesRead{NodeId(3), entries});
  ASSERT_EQ(Appends(out_, 3).size(), 1U);
  EXPECT_EQ(Appends(Take(), 3)[0].entries.size(), 3U);
}

TEST_F(CoreTest, EntriesThatTheLogNoLongerHasBecomeASnapshot) {
  Config config;
  config.window_bytes_max = 0;
  Lead(3, config);
  Propose(3);
  Step(Appended{Term(1), Index(4)});
  Accept(2, 4);
  Step(Applied{Index(4)});
  Step(PeerGone{NodeId(3)});
  Accept(3, 1);
  Take();
  Step(EntriesRead{NodeId(3), {}});
  const Output out = Take();
  ASSERT_EQ(out.send_now.size(), 1U);
  EXPECT_EQ(std::get<InstallSnapshot>(out.send_now[0].message).index, Index(4));
}

TEST_F(CoreTest, ALateSnapshotDoesNotUndoWhatWasAcknowledged) {
  Start(3);
  From(2, FromLeader(0, 0, 1, {1, 1, 1}));
  Step(Appended{Term(1), Index(3)});
  Take();
  EXPECT_FALSE(core_->WantsSnapshot(Index(2), Term(1)));
  EXPECT_TRUE(core_->WantsSnapshot(Index(9), Term(1)));
  From(2, InstallSnapshot{Term(1), Index(2), Term(1)});
  const Output out = Take();
  EXPECT_FALSE(out.fetch_snapshot.has_value());
  EXPECT_EQ(core_->status().commit, Index(2));
  EXPECT_EQ(core_->status().last_index, Index(3));
}

TEST_F(CoreTest, CommittedWindowHasNothingThatIsNotCommitted) {
  Lead(3);
  Propose(3);
  std::vector<EntryPtr> entries;
  core_->CommittedWindow(Index(1), SIZE_MAX, entries);
  EXPECT_EQ(entries.size(), 1U);
  Step(Appended{Term(1), Index(4)});
  Accept(2, 4);
  entries.clear();
  core_->CommittedWindow(Index(2), SIZE_MAX, entries);
  EXPECT_EQ(entries.size(), 3U);
  entries.clear();
  core_->CommittedWindow(Index(5), SIZE_MAX, entries);
  EXPECT_TRUE(entries.empty());
}

TEST_F(CoreTest, AVoteIsRefusedToAnOldLogAndIgnoredWhileALeaderIsHeard) {
  Start(3);
  From(2, FromLeader(0, 0, 1, {1}));
  Step(Appended{Term(1), Index(1)});
  Take();
  From(3, VoteRequest{Term(2), Index(9), Term(1), false});
  EXPECT_TRUE(Take().send_now.empty());
  EXPECT_EQ(core_->status().term, Term(1));
  now_ += 1100 * kMillisecond;
  From(3, VoteRequest{Term(2), Index(0), Term(0), false});
  Output out = Take();
  ASSERT_EQ(out.send_now.size(), 1U);
  EXPECT_FALSE(std::get<VoteReply>(out.send_now[0].message).granted);
  From(3, VoteRequest{Term(3), Index(1), Term(1), false});
  out = Take();
  ASSERT_EQ(out.send_after_durable.size(), 1U);
  EXPECT_TRUE(std::get<VoteReply>(out.send_after_durable[0].message).granted);
  EXPECT_EQ(out.hard_state->vote, NodeId(3));
}

TEST_F(CoreTest, ElectionTimeoutsAreDrawnFromTToTwoT) {
  Time low = kNever;
  Time high = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    BootState boot;
    boot.configuration.voters = {NodeId(1), NodeId(2)};
    Config config;
    config.id = NodeId(1);
    const Core core(config, boot, Rng(seed), 0);
    low = std::min(low, core.NextDeadline());
    high = std::max(high, core.NextDeadline());
  }
  EXPECT_GE(low, 1000 * kMillisecond);
  EXPECT_LT(low, 1050 * kMillisecond);
  EXPECT_LE(high, 2000 * kMillisecond);
  EXPECT_GT(high, 1950 * kMillisecond);
}

TEST_F(CoreTest, WhoDoesNotVoteNeverCampaigns) {
  BootState boot;
  boot.configuration.voters = {NodeId(2), NodeId(3)};
  boot.configuration.learners = {NodeId(1)};
  Config config;
  config.id = NodeId(1);
  core_ = std::make_unique<Core>(config, boot, Rng(1), now_);
  EXPECT_EQ(core_->NextDeadline(), kNever);
  From(2, FromLeader(0, 0, 1, {1}));
  Take();
  From(2, TimeoutNow{Term(1)});
  EXPECT_EQ(core_->status().role, Role::kFollower);
}

TEST_F(CoreTest, ARestartHandsOutWhatWasCommittedAndNotApplied) {
  BootState boot;
  boot.configuration.voters = {NodeId(1), NodeId(2)};
  boot.hard_state = {Term(3), NodeId(2), Index(2)};
  boot.last_index = Index(3);
  boot.terms = {{Index(1), Term(1)}};
  for (std::uint64_t i = 2; i <= 3; ++i) {
    boot.window.push_back(Entry::Make(Term(1), Index(i), RecordKind::kCommand, "x"));
  }
  boot.applied = Index(1);
  Config config;
  config.id = NodeId(1);
  core_ = std::make_unique<Core>(config, boot, Rng(1), now_);
  Step(Timer{});
  const Output out = Take();
  ASSERT_EQ(out.apply.size(), 1U);
  EXPECT_EQ(out.apply[0]->index(), Index(2));
  EXPECT_EQ(core_->status().term, Term(3));
}

}  // namespace
}  // namespace coppice::raft
