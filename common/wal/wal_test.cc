#include "common/wal/wal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "common/io/memory_disk.h"
#include "common/io/posix_disk.h"
#include "common/wal/format.h"
#include "common/wal/wal_test_log.h"

namespace coppice::wal {
namespace {

using io::MemoryDisk;
using Operation = MemoryDisk::Operation;

const HardState kHardState{Term(3), NodeId(2), Index(1)};

std::size_t SegmentCount(MemoryDisk& disk) {
  std::size_t count = 0;
  for (const auto& [path, bytes] : disk.Image()) count += path.ends_with(kSegmentSuffix);
  return count;
}

TEST(Wal, ANewLogIsEmptyAndMakesItsDirectories) {
  MemoryDisk disk;
  Recovered recovered;
  auto wal = Wal::Open(
      disk, "/a/b/wal", WalOptions(), [](const EntryPtr&) { FAIL(); }, recovered);
  ASSERT_TRUE(wal.ok()) << wal.status();
  EXPECT_EQ(recovered.hard_state, HardState());
  EXPECT_EQ(recovered.first_index, Index(1));
  EXPECT_EQ(recovered.last_index, Index(0));
  EXPECT_EQ((*wal)->bytes(), WalOptions().first_zeros_bytes);
}

TEST(Wal, GivesBackEntriesAndTheLastHardState) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(2, 1, 2, 10, HardState{Term(2), NodeId(9), Index(0)}).ok());
  ASSERT_TRUE(log.Append(3, 3, 1, 0, kHardState).ok());
  ASSERT_TRUE(log.wal->Append({}, std::nullopt).ok());
  ASSERT_TRUE(log.wal->Sync().ok());
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(log.recovered.hard_state, kHardState);
  EXPECT_EQ(log.recovered.last_index, Index(3));
  EXPECT_EQ(log.recovered.torn_bytes_cut, 0U);
  EXPECT_EQ(Show(log.replayed), "2:1 2:2 3:3");
}

TEST(Wal, AHardStateAloneIsKept) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.wal->Append({}, kHardState).ok());
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(log.recovered.hard_state, kHardState);
  EXPECT_EQ(log.recovered.last_index, Index(0));
}

TEST(Wal, ARewrittenIndexDropsAllAfterIt) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 6).ok());
  ASSERT_TRUE(log.Append(2, 3, 2).ok());
  EXPECT_EQ(log.wal->last_index(), Index(4));
  ASSERT_TRUE(log.Append(3, 4, 1).ok());
  std::vector<EntryPtr> out;
  ASSERT_TRUE(log.wal->Read(Index(1), Index(100), 1 << 20, out).ok());
  EXPECT_EQ(Show(out), "1:1 1:2 2:3 3:4");
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(Show(log.replayed), "1:1 1:2 2:3 3:4");
  ASSERT_TRUE(log.Append(4, 1, 1).ok());
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(Show(log.replayed), "4:1");
}

TEST(Wal, RollsToNewSegmentsAndReadsAcrossThem) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 1, 100, kHardState).ok());
  std::vector<EntryPtr> all = {TestLog::Make(1, 1, 100)};
  for (std::uint64_t i = 2; i <= 200; ++i) {
    ASSERT_TRUE(log.Append(1, i, 1, 100).ok());
    all.push_back(TestLog::Make(1, i, 100));
  }
  EXPECT_GE(SegmentCount(disk), 6U);
  for (std::uint64_t from = 1; from <= 200; from += 13) {
    std::vector<EntryPtr> out;
    ASSERT_TRUE(log.wal->Read(Index(from), Index(180), 1 << 20, out).ok());
    const std::vector<EntryPtr> expected(
        all.begin() + static_cast<long>(from) - 1,
        all.begin() + std::max<long>(180, static_cast<long>(from) - 1));
    EXPECT_EQ(Records(out), Records(expected)) << from;
  }
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(Records(log.replayed), Records(all));
  EXPECT_EQ(log.recovered.hard_state, kHardState);
  EXPECT_GE(log.wal->bytes(), 200U * 132);
}

TEST(Wal, AnOverwriteReachesBackAcrossSegments) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(log.Append(1, i, 1, 100).ok());
  ASSERT_TRUE(log.Append(2, 20, 3, 100).ok());
  ASSERT_TRUE(log.Append(2, 23, 60, 100).ok());
  std::vector<EntryPtr> out;
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(log.wal->Read(Index(18), Index(24), 1 << 20, out).ok());
    EXPECT_EQ(Show(out), "1:18 1:19 2:20 2:21 2:22 2:23 2:24");
    EXPECT_EQ(log.wal->last_index(), Index(82));
    ASSERT_TRUE(log.Open(disk).ok());
    EXPECT_EQ(log.replayed.size(), 82U);
  }
}

TEST(Wal, AnAppendLargerThanASegmentIsOneSegment) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 3, 5000).ok());
  ASSERT_TRUE(log.Append(1, 4, 1).ok());
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(Show(log.replayed), "1:1 1:2 1:3 1:4");
  EXPECT_EQ(SegmentCount(disk), 2U);
}

TEST(Wal, ReadKeepsToItsBounds) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 10, 68).ok());  // records of 100 bytes
  std::vector<EntryPtr> out;
  ASSERT_TRUE(log.wal->Read(Index(2), Index(9), 300, out).ok());
  EXPECT_EQ(Show(out), "1:2 1:3 1:4");
  ASSERT_TRUE(log.wal->Read(Index(2), Index(9), 299, out).ok());
  EXPECT_EQ(Show(out), "1:2 1:3");
  ASSERT_TRUE(log.wal->Read(Index(9), Index(9), 1, out).ok());
  EXPECT_EQ(Show(out), "1:9");
  ASSERT_TRUE(log.wal->Read(Index(11), Index(20), 300, out).ok());
  EXPECT_EQ(Show(out), "");
  EXPECT_EQ(log.wal->Read(Index(0), Index(3), 300, out).code(), StatusCode::kNotFound);
}

TEST(Wal, ReadFindsWhatIsNoLongerAsWritten) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 3, 50).ok());
  const std::string path = "/wal/" + SegmentFileName(1, Index(1));
  ASSERT_TRUE(disk.FlipBit(path, 72 + 82 + 40, 0).ok());
  std::vector<EntryPtr> out;
  const Status status = log.wal->Read(Index(1), Index(3), 1 << 20, out);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(status).find(path + " is damaged at offset 154"), std::string::npos)
      << status;
}

TEST(Wal, AGapIsRefusedAndNothingIsWritten) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  const auto before = disk.Image();
  EXPECT_EQ(log.Append(1, 2, 1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(log.Append(1, 0, 1).code(), StatusCode::kInvalidArgument);
  const std::vector<EntryPtr> gap = {TestLog::Make(1, 1, 5), TestLog::Make(1, 3, 5)};
  EXPECT_EQ(log.wal->Append(gap, std::nullopt).code(), StatusCode::kInvalidArgument);
  const std::vector<EntryPtr> own = {
      Entry::Make(Term(1), Index(1), RecordKind::kHardState, "12345678")};
  EXPECT_EQ(log.wal->Append(own, std::nullopt).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(disk.Image(), before);
  EXPECT_TRUE(log.Append(1, 1, 1).ok());
}

TEST(Wal, AFullDiskRefusesTheAppendAndTheLogGoesOnWhenSpaceReturns) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  for (std::uint64_t next = 1; next < 60;) {  // at times in a segment, at times at its end
    disk.SetCapacity(disk.UsedBytes());
    Status status;
    while ((status = log.Append(1, next, 1, 200)).ok()) ++next;
    ASSERT_EQ(status.code(), StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(log.wal->last_index(), Index(next - 1));
    std::vector<EntryPtr> out;
    EXPECT_TRUE(log.wal->Read(Index(1), Index(next), 1 << 20, out).ok());
    EXPECT_EQ(out.size(), next - 1);
    EXPECT_TRUE(log.wal->Sync().ok());
    disk.SetCapacity(UINT64_MAX);
    ASSERT_TRUE(log.Append(1, next++, 1, 200).ok());
    ASSERT_TRUE(log.wal->Sync().ok());
  }
  const Index last = log.wal->last_index();
  ASSERT_TRUE(log.Open(disk).ok());
  EXPECT_EQ(log.recovered.last_index, last);
}

TEST(Wal, AFailedSyncIsFinal) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 1).ok());
  disk.FailNth(Operation::kSync, 1, MakeStatus(StatusCode::kInternal, "EIO"));
  EXPECT_EQ(log.wal->Sync().code(), StatusCode::kInternal);
  EXPECT_EQ(log.wal->Sync().code(), StatusCode::kInternal);
  EXPECT_EQ(log.Append(1, 2, 1).code(), StatusCode::kInternal);
}

TEST(Wal, AFailedWriteIsFinalAndNeverLooksLikeAFullDisk) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  ASSERT_TRUE(log.Append(1, 1, 1).ok());
  disk.FailNth(Operation::kWrite, 1, MakeStatus(StatusCode::kResourceExhausted, "ENOSPC"));
  EXPECT_EQ(log.Append(1, 2, 1).code(), StatusCode::kInternal);
  EXPECT_EQ(log.wal->Sync().code(), StatusCode::kInternal);
}

TEST(Wal, WhatIsRecoveredAfterAFailedSyncIsDurable) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    MemoryDisk disk;
    Rng rng(seed);
    TestLog log;
    ASSERT_TRUE(log.Open(disk).ok());
    ASSERT_TRUE(log.Append(1, 1, 5).ok());
    disk.FailNth(Operation::kSync, 1, MakeStatus(StatusCode::kInternal, "EIO"));
    ASSERT_FALSE(log.wal->Sync().ok());
    ASSERT_TRUE(log.Open(disk).ok());
    ASSERT_EQ(log.recovered.last_index, Index(5));
    disk.Crash(rng);
    ASSERT_TRUE(log.Open(disk).ok());
    EXPECT_EQ(log.recovered.last_index, Index(5));
  }
}

TEST(Wal, EachFailureWhileOpeningIsAnError) {
  for (const Operation operation :
       {Operation::kOpen, Operation::kRead, Operation::kWrite, Operation::kSync,
        Operation::kSyncDirectory, Operation::kRename, Operation::kTruncate}) {
    for (const bool fresh : {true, false}) {
      MemoryDisk disk;
      TestLog log;
      if (!fresh) {
        ASSERT_TRUE(log.Open(disk).ok());
        ASSERT_TRUE(log.Append(1, 1, 100).ok());
        log.wal.reset();
      }
      const bool used = fresh
                            ? operation != Operation::kRead
                            : operation != Operation::kRename && operation != Operation::kTruncate;
      disk.FailNth(operation, 1, MakeStatus(StatusCode::kInternal, "EIO"));
      EXPECT_EQ(log.Open(disk).ok(), !used) << static_cast<int>(operation) << fresh;
      disk.ClearFaults();
      ASSERT_TRUE(log.Open(disk).ok());
      EXPECT_EQ(log.recovered.last_index, Index(fresh ? 0 : 100));
    }
  }
}

TEST(Wal, ASecondOpenerIsRefused) {
  MemoryDisk disk;
  TestLog log;
  TestLog other;
  ASSERT_TRUE(log.Open(disk).ok());
  const Status status = other.Open(disk);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(status).find("another process"), std::string::npos);
  log.wal.reset();
  EXPECT_TRUE(other.Open(disk).ok());
}

TEST(Wal, WorksOnARealFileSystem) {
  std::string directory = testing::TempDir() + "wal_test_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  io::PosixDisk disk;
  const auto open = [&](std::size_t& replayed) {
    Recovered recovered;
    replayed = 0;
    return Wal::Open(
        disk, directory + "/a/wal", TestLog::SmallOptions(), [&](const EntryPtr&) { ++replayed; },
        recovered);
  };
  std::size_t replayed = 0;
  {
    auto wal = open(replayed);
    ASSERT_TRUE(wal.ok()) << wal.status();
    EXPECT_EQ(open(replayed).status().code(), StatusCode::kFailedPrecondition);
    for (std::uint64_t i = 1; i <= 100; ++i) {
      const std::vector<EntryPtr> entries = {TestLog::Make(1, i, 300)};
      ASSERT_TRUE((*wal)->Append(entries, std::nullopt).ok());
      ASSERT_TRUE((*wal)->Sync().ok());
    }
  }
  EXPECT_TRUE(open(replayed).ok());
  EXPECT_EQ(replayed, 100U);
  std::filesystem::remove_all(directory);
}

TEST(Wal, AnotherClustersOrNodesLogIsRefusedUnchanged) {
  MemoryDisk disk;
  TestLog log;
  ASSERT_TRUE(log.Open(disk).ok());
  log.wal.reset();
  const auto before = disk.Image();
  log.options.cluster_id = 0xc2;
  EXPECT_EQ(MessageOf(log.Open(disk)),
            "/wal/0000000000000001-0000000000000001.wal is the log of node 11 of cluster c1, but "
            "this is node 11 of cluster c2; use the data directory of this node");
  log.options = TestLog::SmallOptions();
  log.options.node_id = 0x12;
  EXPECT_EQ(log.Open(disk).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk.Image(), before);
}

}  // namespace
}  // namespace coppice::wal
