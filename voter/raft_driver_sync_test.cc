// The log's sync beside the loop: a worker whose work ends when the test says so.

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "common/io/memory_disk.h"
#include "common/node/posix_host.h"
#include "voter/raft_driver.h"

namespace coppice::voter {
namespace {

class TestClock final : public Clock {
 public:
  Time Now() const override { return now; }
  std::int64_t UnixMicros() const override { return now; }
  Time now = kSecond;
};

class HeldWork final : public node::Host::Worker {
 public:
  using Queue = std::deque<std::pair<std::function<void()>, std::function<void()>>>;
  explicit HeldWork(Queue& queue) : queue_(queue) {}
  void Run(std::function<void()> work, std::function<void()> done) override {
    queue_.emplace_back(std::move(work), std::move(done));
  }

 private:
  Queue& queue_;
};

class TestHost final : public node::PosixHost {
 public:
  const Clock& clock() override { return test_clock; }
  std::unique_ptr<Worker> MakeWorker(io::Loop& /*loop*/, const std::string& /*name*/) override {
    return std::make_unique<HeldWork>(syncs);
  }
  TestClock test_clock;
  HeldWork::Queue syncs;
};

// Voter 1 of three; what it sends is kept.
class RaftDriverSyncTest : public testing::Test {
 protected:
  static constexpr Micros kElection = 30 * kMillisecond;

  void SetUp() override {
    ASSERT_TRUE(disk_.CreateDirectories("member").ok());
    auto wal = wal::Wal::Open(
        disk_, "member/wal", {}, [](const EntryPtr&) {}, recovered_);
    ASSERT_TRUE(wal.ok()) << wal.status();
    raft::Config config;
    config.id = NodeId(1);
    config.heartbeat_interval = 10 * kMillisecond;
    config.election_timeout = kElection;
    config.window_bytes_max = 1;
    raft::BootState boot;
    boot.configuration.voters = {NodeId(1), NodeId(2), NodeId(3)};
    RaftDriver::Hooks hooks;
    hooks.send = [this](NodeId to, const raft::Message& message) {
      sent_.emplace_back(to, message);
    };
    hooks.apply = [this](std::span<const EntryPtr> entries) { applied_ = entries.back()->index(); };
    hooks.proposed = [](const raft::ProposeResult&) {};
    hooks.read_ready = [this](std::uint64_t id, Index) { reads_.push_back(id); };
    hooks.read_refused = [](std::uint64_t) {};
    hooks.changed = [](const raft::Status&) {};
    hooks.turn_done = [] {};
    hooks.end_process = [this](int code) { exit_code_ = code; };
    RaftDriver::Options options;
    options.sync_place.always_apart = true;
    options.resign_after = kElection;
    driver_ = std::make_unique<RaftDriver>(
        loop_, host_, options, std::make_unique<raft::Core>(config, boot, Rng(1), loop_.Refresh()),
        std::move(*wal), std::move(hooks));
    driver_->Start();
    Turn();
  }

  void Turn() {
    do {
      loop_.DriveWake();
      loop_.DriveTurn([] {});
    } while (loop_.HasWork());
  }
  void After(Micros time) {
    host_.test_clock.now += time;
    Turn();
  }
  void From(std::uint64_t peer, raft::Message message) {
    driver_->Input(raft::Received{NodeId(peer), std::move(message)});
    Turn();
  }
  bool SyncOut() const { return !host_.syncs.empty(); }
  void EndSync() {
    ASSERT_TRUE(SyncOut());
    auto [work, done] = std::move(host_.syncs.front());
    host_.syncs.pop_front();
    work();
    done();
    Turn();
  }
  template <typename Message>
  std::vector<Message> Sent() {
    std::vector<Message> found;
    for (const auto& [to, message] : sent_) {
      if (const auto* one = std::get_if<Message>(&message)) found.push_back(*one);
    }
    return found;
  }
  static raft::Append AppendOf(std::uint64_t prev, std::uint64_t commit, const char* payload) {
    raft::Append append;
    append.term = Term(1);
    append.prev_index = Index(prev);
    append.prev_term = Term(prev == 0 ? 0 : 1);
    append.commit = Index(commit);
    append.entries = {Entry::Make(Term(1), Index(prev + 1), RecordKind::kCommand, payload)};
    return append;
  }
  // Elected by voter 2; the sync of its term's first entry is out.
  void Lead() {
    After(3 * kElection);
    ASSERT_EQ(Sent<raft::PreVoteRequest>().size(), 2U);
    From(2, raft::PreVoteReply{Term(1), true});
    EXPECT_TRUE(Sent<raft::VoteRequest>().empty()) << "before its own vote is on disk";
    EndSync();
    ASSERT_EQ(Sent<raft::VoteRequest>().size(), 2U);
    From(2, raft::VoteReply{Term(1), true});
    ASSERT_EQ(driver_->status().role, raft::Role::kLeader);
    ASSERT_TRUE(SyncOut());
  }
  void Propose(std::string payload) {
    raft::Proposal proposal;
    proposal.payload_crc = Entry::PayloadCrc(payload);
    proposal.payload = std::move(payload);
    ASSERT_TRUE(driver_->Propose(std::move(proposal)));
    Turn();
  }
  void Acknowledge(std::uint64_t peer, std::uint64_t match) {
    raft::AppendReply reply;
    reply.term = Term(1);
    reply.ok = true;
    reply.match = Index(match);
    for (const auto& append : Sent<raft::Append>()) reply.round = append.round;
    From(peer, reply);
  }

  io::MemoryDisk disk_;
  wal::Recovered recovered_;
  TestHost host_;
  io::Loop loop_{"test", host_.test_clock};
  std::vector<std::pair<NodeId, raft::Message>> sent_;
  std::vector<std::uint64_t> reads_;
  Index applied_;
  int exit_code_ = 0;
  std::unique_ptr<RaftDriver> driver_;
};

TEST_F(RaftDriverSyncTest, AnEntryIsAcknowledgedOnceItsOwnSyncHasEnded) {
  From(2, AppendOf(0, 0, "a"));
  From(2, AppendOf(1, 0, "b"));
  EXPECT_EQ(host_.syncs.size(), 1U);
  EXPECT_EQ(driver_->wal().last_index(), Index(1)) << "one write at a time";
  for (const auto& reply : Sent<raft::AppendReply>()) EXPECT_EQ(reply.match, Index(0));
  EndSync();
  EXPECT_EQ(Sent<raft::AppendReply>().back().match, Index(1));
  EXPECT_EQ(driver_->wal().last_index(), Index(2));
  EndSync();
  EXPECT_EQ(Sent<raft::AppendReply>().back().match, Index(2));
  EXPECT_FALSE(SyncOut());
}

TEST_F(RaftDriverSyncTest, AVoteWaitsForTheSyncThatCoversIt) {
  From(2, AppendOf(0, 0, "a"));
  raft::VoteRequest request;
  request.term = Term(2);
  request.last_index = Index(9);
  request.last_term = Term(1);
  request.transfer = true;
  From(3, request);
  EXPECT_TRUE(Sent<raft::VoteReply>().empty());
  EndSync();
  EXPECT_TRUE(Sent<raft::VoteReply>().empty()) << "that sync began before the vote";
  EXPECT_EQ(driver_->saved().term, Term(1));
  EndSync();
  ASSERT_EQ(Sent<raft::VoteReply>().size(), 1U);
  EXPECT_TRUE(Sent<raft::VoteReply>().front().granted);
  EXPECT_EQ(driver_->saved().term, Term(2));
}

TEST_F(RaftDriverSyncTest, CommittedEntriesAreAppliedOnceTheyAreDurableHereWhateverElseIsOut) {
  From(2, AppendOf(0, 0, "a"));
  EndSync();
  From(2, AppendOf(1, 2, "b"));
  EXPECT_TRUE(SyncOut());
  EXPECT_EQ(applied_, Index(1));
  EndSync();
  EXPECT_EQ(applied_, Index(2));
}

TEST_F(RaftDriverSyncTest, AFollowersAnswerToAReadRoundDoesNotWaitForItsDisk) {
  From(2, AppendOf(0, 0, "a"));
  From(2, AppendOf(1, 0, "b"));  // is to be written once the sync has ended
  raft::Append probe = AppendOf(2, 0, "");
  probe.entries.clear();
  probe.round = 5;
  From(2, probe);
  ASSERT_FALSE(Sent<raft::AppendReply>().empty());
  EXPECT_EQ(Sent<raft::AppendReply>().back().round, 5U);
  EXPECT_EQ(Sent<raft::AppendReply>().back().match, Index(0)) << "nothing is durable yet";
}

TEST_F(RaftDriverSyncTest, ALeadersHeartbeatsAndReadsDoNotWaitForItsDisk) {
  Lead();
  EndSync();
  Acknowledge(2, 1);
  Propose("x");
  ASSERT_TRUE(SyncOut());
  EXPECT_EQ(Sent<raft::Append>().back().entries.size(), 1U) << "peers write at the same time";
  driver_->Input(raft::ReadIndexRequest{7});
  Turn();
  Acknowledge(2, 1);
  EXPECT_EQ(reads_, (std::vector<std::uint64_t>{7}));
  const std::size_t sent = sent_.size();
  After(10 * kMillisecond);
  EXPECT_GT(sent_.size(), sent);
}

TEST_F(RaftDriverSyncTest, ALeaderThatCannotReadItsLogForAPeerHandsOver) {
  Lead();
  EndSync();
  Acknowledge(2, 1);
  Acknowledge(3, 1);
  Propose("x");
  EndSync();
  Acknowledge(2, 2);
  ASSERT_EQ(applied_, Index(2)) << "so that the window in memory has lost it";
  driver_->Input(raft::PeerGone{NodeId(3)});
  disk_.FailNth(io::MemoryDisk::Operation::kRead, 1, MakeStatus(StatusCode::kInternal, "EIO"));
  Acknowledge(3, 1);
  EXPECT_EQ(Sent<raft::TimeoutNow>().size(), 1U);
}

TEST_F(RaftDriverSyncTest, ALeaderWhoseSyncDoesNotEndHandsOver) {
  Lead();
  Acknowledge(2, 1);
  After(kElection - kMillisecond);
  Acknowledge(2, 1);
  EXPECT_TRUE(Sent<raft::TimeoutNow>().empty());
  After(10 * kMillisecond);  // its next heartbeats
  ASSERT_EQ(Sent<raft::TimeoutNow>().size(), 1U);
}

TEST_F(RaftDriverSyncTest, ASyncThatFailsEndsTheProcessAndNothingThatWaitedForItLeaves) {
  From(2, AppendOf(0, 0, "a"));
  const std::size_t sent = sent_.size();
  disk_.FailNth(io::MemoryDisk::Operation::kSync, 1,
                MakeStatus(StatusCode::kInternal, "the disk is broken"));
  EndSync();
  EXPECT_EQ(exit_code_, 74);
  From(2, AppendOf(1, 0, "b"));
  EXPECT_EQ(sent_.size(), sent);
}

}  // namespace
}  // namespace coppice::voter
