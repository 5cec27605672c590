#include "common/node/replica_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/memory_backend.h"

namespace coppice::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct ManualClock final : Clock {
  Time Now() const override { return now; }
  std::int64_t UnixMicros() const override { return 0; }
  Time now = kSecond;
};

// A machine of which the replica core takes its loop, its time, and a thread for flushes: here work
// is done at once.
struct TestHost final : Host {
  struct Done final : Background {};
  const Clock& clock() override { return time; }
  std::uint64_t RandomId() override { return 1; }
  int ThreadsFor(int /*threads*/) override { return 1; }
  std::unique_ptr<io::Loop> MakeLoop(const std::string& name) override {
    return std::make_unique<io::Loop>(name, time);
  }
  std::unique_ptr<io::Transport> MakeTransport(io::Loop& /*loop*/,
                                               const io::TransportOptions& /*options*/,
                                               io::Accept /*accept*/) override {
    return nullptr;
  }
  std::unique_ptr<io::Listener> MakeListener(io::Loop& /*loop*/,
                                             const io::TransportOptions& /*options*/,
                                             io::Listener::Choose /*choose*/) override {
    return nullptr;
  }
  std::unique_ptr<Background> Run(std::function<void()> work) override {
    work();
    return std::make_unique<Done>();
  }
  std::unique_ptr<Worker> MakeWorker(io::Loop& /*loop*/, const std::string& /*name*/) override {
    return nullptr;
  }
  void EndProcess(int code) override { ended_with = code; }
  ManualClock time;
  int ended_with = 0;
};

struct NoIo final : IoPort {
  void ServeAsked(int /*slot*/) override {}
  void ViewPublished(Revision /*revision*/,
                     const std::vector<mvcc::EventBatchPtr>& /*events*/) override {}
  void WritesDone(std::vector<WriteOutcome> /*outcomes*/) override {}
  void Defragmented(const Status& /*status*/) override {}
  void FactsChanged(const FactsPtr& /*facts*/) override {}
};

// Counts what is tried; else memory.
class CountingBackend final : public mvcc::KvBackend {
 public:
  CountingBackend(std::shared_ptr<mvcc::MemoryDisk> disk, int& writes)
      : rows_(std::move(disk)), writes_(writes) {}
  Status Apply(std::span<const Write> batch) override {
    ++writes_;
    return rows_.Apply(batch);
  }
  bool Stalled() const override { return rows_.Stalled(); }
  Status Get(Family family, std::string_view key, std::string& value) const override {
    return rows_.Get(family, key, value);
  }
  Status Scan(Family family, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return rows_.Scan(family, begin, end, visit);
  }
  Status Flush() override { return rows_.Flush(); }
  Status CompactRange(std::string_view begin, std::string_view end) override {
    return rows_.CompactRange(begin, end);
  }
  void StopCompacting() override {}
  std::uint64_t DiskBytes() const override { return 0; }

 private:
  mvcc::MemoryBackend rows_;
  int& writes_;
};

class ReplicaCoreTest : public testing::Test {
 protected:
  explicit ReplicaCoreTest(std::size_t waiting_bytes_max = 64U << 20) {
    ReplicaCore::Options options;
    options.waiting_bytes_max = waiting_bytes_max;
    options.gate.refresh_interval = 0;
    options.stall_max = kSecond;
    core_.emplace(runtime_, *store_, options);
    ReplicaCore::Hooks hooks;
    hooks.applied = [this](std::span<const EntryPtr> entries, mvcc::ApplyOutput& out) {
      EXPECT_EQ(out.applied, entries.back()->index());
      for (const EntryPtr& entry : entries) applied_.push_back(entry->index().value());
    };
    hooks.waiting_applied = [this] { ++waiting_applied_; };
    hooks.read_log = [this](Index from, Index to, std::size_t bytes_max) {
      return ReadLog(from, to, bytes_max);
    };
    core_->SetHooks(std::move(hooks));
    core_->AddIo(&io_);
    runtime_.core().Post([this] { core_->Start(); });
    Turn();
    writes_ = 0;
  }

  // One turn of the loop, in which `input` comes.
  void Turn(const std::function<void()>& input = [] {}) {
    runtime_.core().DriveWake();
    runtime_.core().DriveTurn(input);
  }
  // Time passes, and the loop turns when a timer is due.
  void Pass(Micros time) {
    const Time until = host_.time.now + time;
    while (runtime_.core().HasWork() || runtime_.core().NextTimer() <= until) {
      if (!runtime_.core().HasWork()) {
        host_.time.now = std::max(host_.time.now, runtime_.core().NextTimer());
      }
      Turn();
    }
    host_.time.now = until;
  }
  // The next `count` puts are committed, each of its own and of `bytes`.
  void Commit(int count, std::size_t bytes = 10) {
    std::vector<EntryPtr> entries;
    for (int i = 0; i < count; ++i) {
      mvcc::PutOp put;
      put.key = "key";
      put.value = std::string(bytes, 'v');
      log_.push_back(Entry::Make(Term(1), Index(log_.size() + 1), RecordKind::kCommand,
                                 mvcc::EncodeCommand(mvcc::Command(put))));
      entries.push_back(log_.back());
    }
    Turn([&] { core_->Apply(entries); });
  }
  StatusOr<std::vector<EntryPtr>> ReadLog(Index from, Index to, std::size_t bytes_max) {
    ++reads_;
    if (!log_failure_.ok()) return log_failure_;
    std::vector<EntryPtr> entries;
    std::size_t bytes = 0;
    for (std::uint64_t i = from.value(); i <= to.value(); ++i) {
      bytes += log_[i - 1]->record().size();
      if (!entries.empty() && bytes > bytes_max) break;
      entries.push_back(log_[i - 1]);
    }
    return entries;
  }
  void Fail(StatusCode code) { disk_->SetFailure(MakeStatus(code, "as the test says")); }
  void Mend() { disk_->SetFailure(OkStatus()); }
  Revision ViewRevision() {
    const Revision revision = store_->View(0).revision;
    store_->Quiesce(0, true);
    return revision;
  }

  TestHost host_;
  Runtime runtime_{host_, {1, true}};
  std::shared_ptr<mvcc::MemoryDisk> disk_ = std::make_shared<mvcc::MemoryDisk>();
  int writes_ = 0;
  std::unique_ptr<mvcc::Store> store_ =
      *mvcc::Store::Open(std::make_unique<CountingBackend>(disk_, writes_), {});
  NoIo io_;
  std::optional<ReplicaCore> core_;
  std::vector<EntryPtr> log_;
  Status log_failure_;
  int reads_ = 0;
  std::vector<std::uint64_t> applied_;
  int waiting_applied_ = 0;
};

TEST_F(ReplicaCoreTest, WhatIsCommittedIsAppliedInTheSameTurn) {
  Commit(2);
  EXPECT_THAT(applied_, ElementsAre(1, 2));
  EXPECT_EQ(ViewRevision(), 3);
  EXPECT_EQ(waiting_applied_, 0);
}

TEST_F(ReplicaCoreTest, AStallHoldsUpNothingButWhatItStallsAndIsOverSoonAfterItEnds) {
  Commit(1);
  Fail(StatusCode::kUnavailable);
  Commit(2);
  Commit(1);
  EXPECT_THAT(applied_, ElementsAre(1));
  EXPECT_EQ(ViewRevision(), 2);  // reads go on
  EXPECT_FALSE(core_->stuck());
  Pass(300 * kMillisecond);
  EXPECT_THAT(applied_, ElementsAre(1));
  EXPECT_FALSE(core_->stuck());
  Mend();
  Pass(5 * kMillisecond);
  EXPECT_THAT(applied_, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(core_->applied(), Index(4));
  EXPECT_EQ(ViewRevision(), 5);
  EXPECT_EQ(waiting_applied_, 1);
  Commit(1);
  EXPECT_THAT(applied_, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(ReplicaCoreTest, NothingIsExecutedInVainWhileTheStoreStalls) {
  Fail(StatusCode::kUnavailable);
  Commit(1);
  Pass(800 * kMillisecond);
  EXPECT_EQ(writes_, 1);
  Mend();
  Pass(5 * kMillisecond);
  EXPECT_EQ(writes_, 2);
}

TEST_F(ReplicaCoreTest, AStallThatDoesNotEndIsAStoreThatCannotBeWritten) {
  Fail(StatusCode::kUnavailable);
  Commit(1);
  Pass(990 * kMillisecond);
  EXPECT_FALSE(core_->stuck());
  Pass(20 * kMillisecond);
  EXPECT_TRUE(core_->stuck());
  EXPECT_EQ(host_.ended_with, 0);
  Mend();
  Pass(5 * kMillisecond);
  EXPECT_FALSE(core_->stuck());
  EXPECT_THAT(applied_, ElementsAre(1));
  // The next one has as much time again.
  Fail(StatusCode::kUnavailable);
  Commit(1);
  Pass(500 * kMillisecond);
  EXPECT_FALSE(core_->stuck());
}

TEST_F(ReplicaCoreTest, AFullDiskIsToldAtOnceAndTriedTwiceASecond) {
  Fail(StatusCode::kResourceExhausted);
  Commit(1);
  EXPECT_TRUE(core_->stuck());
  Pass(2 * kSecond);
  EXPECT_GE(writes_, 4);
  EXPECT_LE(writes_, 6);
  Mend();
  Pass(520 * kMillisecond);
  EXPECT_FALSE(core_->stuck());
  EXPECT_THAT(applied_, ElementsAre(1));
}

TEST_F(ReplicaCoreTest, ADiskInDoubtEndsTheProcess) {
  Fail(StatusCode::kInternal);
  Commit(1);
  EXPECT_EQ(host_.ended_with, 74);
  EXPECT_THAT(applied_, IsEmpty());
}

TEST_F(ReplicaCoreTest, WhatHasWaitedIsAppliedInSlicesSoThatTheLoopTurnsInBetween) {
  Fail(StatusCode::kUnavailable);
  for (int i = 0; i < 4; ++i) Commit(1, 600U << 10);
  Mend();
  host_.time.now += 5 * kMillisecond;
  Turn();
  EXPECT_THAT(applied_, ElementsAre(1, 2));
  Commit(1);
  EXPECT_THAT(applied_, ElementsAre(1, 2, 3, 4));
  Pass(kMillisecond);
  EXPECT_THAT(applied_, ElementsAre(1, 2, 3, 4, 5));
}

struct BoundedReplicaCoreTest : ReplicaCoreTest {
  static constexpr std::size_t kBound = 10'000;
  BoundedReplicaCoreTest() : ReplicaCoreTest(kBound) {}
  std::vector<std::uint64_t> UpTo(std::uint64_t last) const {
    std::vector<std::uint64_t> indexes;
    for (std::uint64_t i = 1; i <= last; ++i) indexes.push_back(i);
    return indexes;
  }
};

TEST_F(BoundedReplicaCoreTest, BeyondABoundWhatTheStoreDoesNotTakeIsLeftInTheLog) {
  Fail(StatusCode::kResourceExhausted);
  for (int i = 0; i < 100; ++i) {
    Commit(3, 1000);
    ASSERT_LE(core_->waiting_bytes(), kBound);
  }
  EXPECT_TRUE(core_->behind());
  Mend();
  Pass(520 * kMillisecond);
  EXPECT_EQ(applied_, UpTo(300));
  EXPECT_FALSE(core_->behind());
  EXPECT_EQ(core_->waiting_bytes(), 0U);
  const int reads = reads_;
  Commit(1);
  EXPECT_EQ(applied_, UpTo(301));
  EXPECT_EQ(reads_, reads);
}

TEST_F(BoundedReplicaCoreTest, WhatIsCommittedWhileItCatchesUpComesInItsTurn) {
  Fail(StatusCode::kUnavailable);
  for (int i = 0; i < 50; ++i) Commit(1, 200U << 10);
  ASSERT_TRUE(core_->behind());
  Mend();
  host_.time.now += 5 * kMillisecond;
  for (int i = 0; i < 3; ++i) {
    Commit(1, 200U << 10);
    EXPECT_TRUE(core_->behind()) << "slices, so that the loop turns in between";
  }
  EXPECT_EQ(applied_, UpTo(applied_.size()));
  Pass(kMillisecond);
  EXPECT_EQ(applied_, UpTo(53));
}

TEST_F(BoundedReplicaCoreTest, AStoreThatWorksIsGivenAllAtOnce) {
  Commit(100, 1000);
  EXPECT_EQ(applied_, UpTo(100));
  EXPECT_EQ(reads_, 0);
}

TEST_F(BoundedReplicaCoreTest, AFailureWithinALargeCommitLeavesTheRestInTheLog) {
  Commit(1);
  Fail(StatusCode::kResourceExhausted);
  Commit(100, 1000);
  EXPECT_LE(core_->waiting_bytes(), kBound);
  EXPECT_TRUE(core_->behind());
  Mend();
  Pass(520 * kMillisecond);
  EXPECT_EQ(applied_, UpTo(101));
}

TEST_F(BoundedReplicaCoreTest, ALogThatCannotBeReadIsToldAndTriedAgain) {
  Fail(StatusCode::kUnavailable);
  Commit(100, 1000);
  Mend();
  log_failure_ = MakeStatus(StatusCode::kDataLoss, "as the test says");
  Pass(10 * kMillisecond);
  EXPECT_TRUE(core_->stuck());
  EXPECT_TRUE(core_->behind());
  EXPECT_FALSE(applied_.empty());
  EXPECT_EQ(host_.ended_with, 0);
  log_failure_ = OkStatus();
  Pass(520 * kMillisecond);
  EXPECT_FALSE(core_->stuck());
  EXPECT_EQ(applied_, UpTo(100));
}

}  // namespace
}  // namespace coppice::node
