#include "common/io/memory_disk.h"

#include <gtest/gtest.h>

#include <set>

namespace coppice::io {
namespace {

constexpr auto kCreate = Disk::Mode::kCreate;

std::string Contents(MemoryDisk& disk, const std::string& path) {
  const auto image = disk.Image();
  const auto it = image.find(path);
  return it == image.end() ? "absent" : it->second;
}

TEST(MemoryDisk, WhatWasSyncedSurvivesEveryCrash) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    MemoryDisk disk;
    Rng rng(seed);
    ASSERT_TRUE(disk.CreateDirectories("/d").ok());
    auto file = disk.Open("/d/f", kCreate).value();
    ASSERT_TRUE(file->WriteAt(0, "synced").ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(disk.SyncDirectory("/d").ok());
    ASSERT_TRUE(file->WriteAt(6, "more").ok());
    disk.Crash(rng);
    EXPECT_EQ(Contents(disk, "/d/f").substr(0, 6), "synced");
    EXPECT_FALSE(file->WriteAt(0, "x").ok());
    EXPECT_FALSE(file->Sync().ok());
  }
}

TEST(MemoryDisk, UnsyncedWritesAreLostTornAndReorderedBySector) {
  const std::string a(MemoryDisk::kSectorBytes, 'a');
  const std::string b(MemoryDisk::kSectorBytes, 'b');
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    MemoryDisk disk;
    Rng rng(seed);
    auto file = disk.Open("/f", kCreate).value();
    ASSERT_TRUE(file->WriteAt(0, a + a).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    ASSERT_TRUE(file->WriteAt(0, b + b).ok());
    disk.Crash(rng);
    seen.insert(Contents(disk, "/f"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{a + a, a + b, b + a, b + b}));
}

TEST(MemoryDisk, NamesAreDurableOnceADirectorySyncSucceedsHoweverManyFailedBefore) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    MemoryDisk disk;
    Rng rng(seed);
    ASSERT_TRUE(disk.Open("/f", kCreate).ok());
    disk.FailNth(MemoryDisk::Operation::kSyncDirectory, 1,
                 MakeStatus(StatusCode::kInternal, "I/O error"));
    EXPECT_FALSE(disk.SyncDirectory("/").ok());
    EXPECT_TRUE(disk.SyncDirectory("/").ok());
    disk.Crash(rng);
    EXPECT_EQ(disk.Image().size(), 1U);
  }
}

TEST(MemoryDisk, NamesAreLostUntilTheDirectoryIsSynced) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    MemoryDisk disk;
    Rng rng(seed);
    auto file = disk.Open("/old", kCreate).value();
    ASSERT_TRUE(file->WriteAt(0, "x").ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    ASSERT_TRUE(disk.Rename("/old", "/new").ok());
    disk.Crash(rng);
    const auto image = disk.Image();
    ASSERT_EQ(image.size(), 1U) << "a rename is atomic";
    seen.insert(image.begin()->first);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"/old", "/new"}));
}

TEST(MemoryDisk, SameSeedSameCrash) {
  const auto run = [] {
    MemoryDisk disk;
    Rng rng(7);
    for (int i = 0; i < 5; ++i) {
      auto file = disk.Open("/f" + std::to_string(i), kCreate).value();
      EXPECT_TRUE(file->WriteAt(0, std::string(3000, static_cast<char>('a' + i))).ok());
    }
    disk.Crash(rng);
    return disk.Image();
  };
  EXPECT_EQ(run(), run());
}

TEST(MemoryDisk, AFailedSyncLosesWhatItShouldHaveKeptForGood) {
  MemoryDisk disk;
  Rng rng(1);
  auto file = disk.Open("/f", kCreate).value();
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  disk.FailNth(MemoryDisk::Operation::kSync, 1, MakeStatus(StatusCode::kInternal, "EIO"));
  ASSERT_TRUE(file->WriteAt(0, "doomed").ok());
  EXPECT_EQ(file->Sync().code(), StatusCode::kInternal);
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(Contents(disk, "/f"), "doomed");
  disk.Crash(rng);
  EXPECT_EQ(Contents(disk, "/f"), "");
}

TEST(MemoryDisk, FailsTheNthWriteOnce) {
  MemoryDisk disk;
  auto file = disk.Open("/f", kCreate).value();
  disk.FailNth(MemoryDisk::Operation::kWrite, 2, MakeStatus(StatusCode::kInternal, "EIO"));
  EXPECT_TRUE(file->WriteAt(0, "a").ok());
  EXPECT_EQ(MessageOf(file->WriteAt(1, "b")), "/f: EIO");
  EXPECT_TRUE(file->WriteAt(1, "c").ok());
  EXPECT_EQ(disk.Count(MemoryDisk::Operation::kWrite), 3U);
}

TEST(MemoryDisk, AFullDiskRefusesGrowthUntilSpaceReturns) {
  MemoryDisk disk;
  disk.SetCapacity(10);
  auto file = disk.Open("/f", kCreate).value();
  ASSERT_TRUE(file->WriteAt(0, "12345678").ok());
  EXPECT_EQ(disk.FreeBytes("/").value(), 2U);
  EXPECT_EQ(file->WriteAt(8, "abc").code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(file->WriteAt(0, "87654321").ok());
  ASSERT_TRUE(file->Truncate(0).ok());
  EXPECT_TRUE(file->WriteAt(0, "1234567890").ok());
  ASSERT_TRUE(disk.Remove("/f").ok());
  EXPECT_EQ(disk.UsedBytes(), 0U);
}

TEST(MemoryDisk, ACrashFreesLocks) {
  MemoryDisk disk;
  Rng rng(3);
  auto lock = disk.Lock("/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(disk.Lock("/LOCK").status().code(), StatusCode::kFailedPrecondition);
  disk.Crash(rng);
  auto again = disk.Lock("/LOCK");
  ASSERT_TRUE(again.ok());
  lock->reset();
  EXPECT_EQ(disk.Lock("/LOCK").status().code(), StatusCode::kFailedPrecondition);
}

TEST(MemoryDisk, FlipsOneBit) {
  MemoryDisk disk;
  auto file = disk.Open("/f", kCreate).value();
  ASSERT_TRUE(file->WriteAt(0, "a").ok());
  ASSERT_TRUE(disk.FlipBit("/f", 0, 1).ok());
  EXPECT_EQ(Contents(disk, "/f"), "c");
  EXPECT_EQ(disk.FlipBit("/f", 1, 0).code(), StatusCode::kNotFound);
}

TEST(MemoryDisk, RemovesADirectoryOnlyWhenItIsEmpty) {
  MemoryDisk disk;
  ASSERT_TRUE(disk.CreateDirectories("/a/b").ok());
  EXPECT_FALSE(disk.Remove("/a").ok());
  EXPECT_TRUE(disk.Remove("/a/b").ok());
  EXPECT_TRUE(disk.Remove("/a").ok());
  EXPECT_EQ(disk.List("/a").status().code(), StatusCode::kNotFound);
}

TEST(MemoryDisk, MissingThingsAreNotFound) {
  MemoryDisk disk;
  EXPECT_EQ(disk.Open("/no/f", kCreate).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(disk.Open("/f", Disk::Mode::kMustExist).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(disk.List("/no").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(disk.Remove("/f").code(), StatusCode::kNotFound);
  EXPECT_EQ(disk.Rename("/f", "/g").code(), StatusCode::kNotFound);
  EXPECT_EQ(disk.SyncDirectory("/no").code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace coppice::io
