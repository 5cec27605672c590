#include "voter/raft_driver.h"

#include <gtest/gtest.h>

#include "common/io/memory_disk.h"
#include "common/node/posix_host.h"

namespace coppice::voter {
namespace {

// The only voter of a cluster, over a disk in memory: it leads as soon as it runs.
class RaftDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk_.CreateDirectories("member").ok());
    wal::Recovered recovered;
    auto wal = wal::Wal::Open(
        disk_, "member/wal", {}, [](const EntryPtr&) {}, recovered);
    ASSERT_TRUE(wal.ok()) << wal.status();
    raft::Config config;
    config.id = NodeId(1);
    config.heartbeat_interval = 10 * kMillisecond;
    config.election_timeout = 30 * kMillisecond;
    raft::BootState boot;
    boot.configuration.voters = {NodeId(1)};
    RaftDriver::Hooks hooks;
    hooks.send = [](NodeId, const raft::Message&) {};
    hooks.apply = [this](std::span<const EntryPtr> entries) {
      for (const EntryPtr& entry : entries) {
        EXPECT_EQ(entry->index(), applied_ + 1);
        applied_ = entry->index();
        if (entry->kind() == RecordKind::kCommand) commands_.emplace_back(entry->payload());
      }
    };
    hooks.proposed = [this](const raft::ProposeResult& result) {
      results_.push_back(result);
      if (on_proposed_) std::exchange(on_proposed_, nullptr)();
    };
    hooks.read_ready = [](std::uint64_t, Index) {};
    hooks.read_refused = [this](std::uint64_t id) { refused_reads_.push_back(id); };
    hooks.changed = [this](const raft::Status& status) {
      if (status.role == raft::Role::kLeader && on_lead_) std::exchange(on_lead_, nullptr)();
    };
    hooks.turn_done = [this] {
      if (commands_.size() >= wanted_) loop_.Stop();
    };
    driver_ = std::make_unique<RaftDriver>(
        loop_, host_, RaftDriver::Options(),
        std::make_unique<raft::Core>(config, boot, Rng(1), loop_.Refresh()), std::move(*wal),
        std::move(hooks));
  }

  bool Propose(std::uint64_t token, std::string payload) {
    raft::Proposal proposal;
    proposal.token = token;
    proposal.payload_crc = Entry::PayloadCrc(payload);
    proposal.payload = std::move(payload);
    return driver_->Propose(std::move(proposal));
  }
  // Until `wanted` commands are applied, 10 s at most.
  void Run(std::size_t wanted) {
    wanted_ = wanted;
    loop_.RunAt(loop_.now() + 10 * kSecond, [this] { loop_.Stop(); });
    loop_.Post([this] { driver_->Start(); });
    loop_.Run();
  }

  io::MemoryDisk disk_;
  node::PosixHost host_;
  io::Loop loop_{"test"};
  std::unique_ptr<RaftDriver> driver_;
  std::function<void()> on_lead_;
  std::function<void()> on_proposed_;
  std::vector<std::string> commands_;
  std::vector<raft::ProposeResult> results_;
  std::vector<std::uint64_t> refused_reads_;
  Index applied_;
  std::size_t wanted_ = 1;
};

TEST_F(RaftDriverTest, ATurnsProposalsAreOneSyncAndAreAppliedInOrder) {
  std::uint64_t syncs = 0;
  on_lead_ = [&] {
    syncs = disk_.Count(io::MemoryDisk::Operation::kSync);
    for (std::uint64_t i = 0; i < 10; ++i) Propose(i, std::to_string(i));
  };
  Run(10);
  ASSERT_EQ(commands_.size(), 10U);
  EXPECT_EQ(commands_.front(), "0");
  EXPECT_EQ(commands_.back(), "9");
  EXPECT_EQ(driver_->wal().last_index(), applied_);
  EXPECT_LE(disk_.Count(io::MemoryDisk::Operation::kSync), syncs + 1);
  ASSERT_EQ(results_.size(), 10U);
  EXPECT_TRUE(std::holds_alternative<raft::Accepted>(results_.front().outcome));
}

TEST_F(RaftDriverTest, AFullDiskHoldsEverythingBackUntilThereIsSpace) {
  on_lead_ = [&] {
    disk_.SetCapacity(disk_.UsedBytes());
    Propose(1, std::string(8U << 20, 'x'));
    loop_.RunAt(loop_.now() + 100 * kMillisecond, [this] {
      EXPECT_TRUE(results_.empty());
      EXPECT_TRUE(commands_.empty());
      disk_.SetCapacity(UINT64_MAX);
    });
  };
  Run(1);
  EXPECT_EQ(commands_.size(), 1U);
  EXPECT_EQ(results_.size(), 1U);
}

TEST_F(RaftDriverTest, WhoCannotWriteSaysThatItKnowsNoLeader) {
  on_lead_ = [&] {
    disk_.SetCapacity(disk_.UsedBytes());
    Propose(1, std::string(8U << 20, 'x'));
    loop_.RunAt(loop_.now() + 50 * kMillisecond, [this] {
      EXPECT_EQ(driver_->status().role, raft::Role::kFollower);
      EXPECT_EQ(driver_->status().leader, NodeId());
      disk_.SetCapacity(UINT64_MAX);
    });
  };
  Run(1);
  EXPECT_EQ(driver_->status().role, raft::Role::kLeader);
  EXPECT_EQ(driver_->status().leader, NodeId(1));
}

TEST_F(RaftDriverTest, AFullDiskHoldsBackNothingThatIsDurableAlready) {
  on_proposed_ = [&] {  // of the first: it is written and synced, and not committed yet
    disk_.SetCapacity(disk_.UsedBytes());
    Propose(2, std::string(8U << 20, 'x'));
    loop_.RunAt(loop_.now() + 50 * kMillisecond, [this] {
      EXPECT_EQ(commands_, std::vector<std::string>{"first"});
      disk_.SetCapacity(UINT64_MAX);
    });
  };
  on_lead_ = [&] { Propose(1, "first"); };
  Run(2);
  EXPECT_EQ(commands_.size(), 2U);
}

TEST_F(RaftDriverTest, AStalledLogQueuesABoundedAmount) {
  const std::string payload((1U << 20) - 64, 'x');
  std::uint64_t taken = 0;
  on_lead_ = [&] {
    disk_.SetCapacity(disk_.UsedBytes());
    EXPECT_TRUE(Propose(0, std::string(8U << 20, 'x')));
    loop_.RunAt(loop_.now() + 50 * kMillisecond, [&] {
      while (taken < 1000 && Propose(1 + taken, payload)) ++taken;
      EXPECT_EQ(taken, 64U);
      for (std::uint64_t id = 1; id <= 3; ++id) driver_->Input(raft::ReadIndexRequest{id});
      EXPECT_EQ(refused_reads_, (std::vector<std::uint64_t>{1, 2, 3}));
      disk_.SetCapacity(UINT64_MAX);
      wanted_ = 1 + taken;
    });
  };
  Run(1000);
  EXPECT_EQ(commands_.size(), 1 + taken);
  EXPECT_TRUE(Propose(2000, payload));  // there is room again
}

}  // namespace
}  // namespace coppice::voter
