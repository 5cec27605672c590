// The machine's parts that production code runs on: its clock, its disk, its state store.
#include <gtest/gtest.h>

#include "loadgen/sim/clock.h"
#include "loadgen/sim/disk.h"
#include "loadgen/sim/process.h"

namespace coppice::sim {
namespace {

class MachineTest : public testing::Test {
 protected:
  void Run(Micros time) {
    const Time until = scheduler_.now() + time;
    while (scheduler_.RunNext(until)) {
    }
  }

  Scheduler scheduler_;
  Trace trace_;
  Coverage coverage_;
  Network network_{scheduler_, trace_, coverage_, 1};
  Fabric fabric_{scheduler_, network_, trace_, coverage_, 1, {}, nullptr, nullptr};
  MachineClock clock_{scheduler_, 5 * kSecond, 990'000};
  Process process_{fabric_, clock_, {"v1", 0, 1}};
};

TEST_F(MachineTest, AClockRunsAtItsRateJumpsForwardAndNeverGoesBack) {
  EXPECT_EQ(clock_.Now(), 5 * kSecond);
  Run(100 * kSecond);
  EXPECT_EQ(clock_.Now(), 104 * kSecond);
  clock_.Jump(kSecond);
  EXPECT_EQ(clock_.Now(), 105 * kSecond);
  clock_.SetRate(2'000'000);
  EXPECT_EQ(clock_.Now(), 105 * kSecond);
  const Time due = clock_.TrueTimeOf(107 * kSecond);
  EXPECT_EQ(due, scheduler_.now() + kSecond);
}

TEST_F(MachineTest, ATimerComesWhenTheProcessesOwnClockSaysSo) {
  const auto loop = process_.MakeLoop("core");
  Time fired = 0;
  loop->RunAt(loop->now() + 99 * kMillisecond, [&] { fired = scheduler_.now(); });
  const Time start = scheduler_.now();
  process_.Kick();
  Run(kSecond);
  EXPECT_GE(fired, start + 100 * kMillisecond);
  EXPECT_LT(fired, start + 112 * kMillisecond);  // the loop's grid
  process_.Forget(*loop);
}

TEST_F(MachineTest, APausedProcessTurnsAfterThePauseAndADeadOneNever) {
  const auto loop = process_.MakeLoop("core");
  int turns = 0;
  process_.PauseUntil(scheduler_.now() + kSecond);
  process_.slot(0).Deliver([&] { ++turns; });
  Run(999 * kMillisecond);
  EXPECT_EQ(turns, 0);
  Run(kSecond);
  EXPECT_EQ(turns, 1);
  process_.slot(0).Deliver([&] { ++turns; });
  process_.Die();
  Run(kSecond);
  EXPECT_EQ(turns, 1);
  process_.DropInput();
  process_.Forget(*loop);
}

TEST_F(MachineTest, WhatADeadProcessDoesToItsDiskHasNoEffect) {
  SimDisk disk(fabric_, 1);
  disk.SetProcess(&process_);
  auto file = disk.Open("file", io::Disk::Mode::kCreate);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->WriteAt(0, "kept").ok());
  disk.DieAt(2);
  EXPECT_TRUE((*file)->WriteAt(4, " too").ok());
  EXPECT_FALSE((*file)->WriteAt(8, " not").ok());
  EXPECT_TRUE(process_.dead());
  EXPECT_FALSE((*file)->Sync().ok());
  EXPECT_EQ(disk.memory().Image().at("/file"), "kept too");
}

TEST_F(MachineTest, AStoreFallsBackToItsLastFlushWholeBatchesOnly) {
  const auto rows = std::make_shared<mvcc::MemoryDisk>();
  using Family = mvcc::KvBackend::Family;
  const auto put = [](SimBackend& store, const std::string& value) {
    const std::vector<mvcc::KvBackend::Write> batch = {{Family::kRev, "a", value},
                                                       {Family::kMeta, "b", value}};
    return store.Apply(batch).ok();
  };
  {
    SimBackend store(rows, process_, 0);
    ASSERT_TRUE(put(store, "1"));
    ASSERT_TRUE(store.Flush().ok());
    ASSERT_TRUE(put(store, "2"));
  }
  rows->Crash();
  SimBackend store(rows, process_, 0);
  std::string value;
  ASSERT_TRUE(store.Get(Family::kRev, "a", value).ok());
  EXPECT_EQ(value, "1");
  ASSERT_TRUE(store.Get(Family::kMeta, "b", value).ok());
  EXPECT_EQ(value, "1");
  process_.Die();
  EXPECT_FALSE(put(store, "3"));
  EXPECT_FALSE(store.Flush().ok());
}

}  // namespace
}  // namespace coppice::sim
