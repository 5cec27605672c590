#include "voter/directories.h"

#include <gtest/gtest.h>

#include "common/base/coding.h"
#include "common/base/crc32c.h"
#include "common/io/memory_disk.h"

namespace coppice::voter {
namespace {

constexpr const char* kFolder = "member";
const Directories::Owner kOwner{0xc1, NodeId(1)};

class DirectoriesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(disk_.CreateDirectories(kFolder).ok()); }

  Directories Make(std::uint64_t id) {
    return Directories::Make(disk_, kFolder, kOwner, id).value();
  }
  Directories Load() { return *Directories::Load(disk_, kFolder, kOwner).value(); }
  std::string Bytes() { return disk_.Image().at("/member/directories"); }
  void Write(const std::string& bytes) {
    auto file = disk_.Open(Directories::FileIn(kFolder), io::Disk::Mode::kCreate).value();
    ASSERT_TRUE(file->Truncate(0).ok());
    ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  }

  io::MemoryDisk disk_;
};

TEST_F(DirectoriesTest, AVoterIsKnownByTheFirstDirectoryThatItCameWith) {
  Directories directories = Make(7);
  EXPECT_EQ(directories.Meet(NodeId(2), 20).value(), 20U);
  EXPECT_EQ(directories.Meet(NodeId(2), 21).value(), 20U);
  EXPECT_EQ(directories.Meet(NodeId(3), 30).value(), 30U);
}

TEST_F(DirectoriesTest, WhatItKnowsOutlivesALossOfPower) {
  {
    Directories directories = Make(7);
    ASSERT_TRUE(directories.Meet(NodeId(2), 20).ok());
    ASSERT_TRUE(directories.SetStage(Directories::Stage::kTakesPart).ok());
    ASSERT_TRUE(directories.Meet(NodeId(3), 30).ok());
  }
  Rng rng(1);
  disk_.Crash(rng);
  Directories directories = Load();
  EXPECT_EQ(directories.own(), 7U);
  EXPECT_EQ(directories.stage(), Directories::Stage::kTakesPart);
  EXPECT_EQ(directories.Meet(NodeId(2), 21).value(), 20U);
  EXPECT_EQ(directories.Meet(NodeId(3), 31).value(), 30U);
}

TEST_F(DirectoriesTest, WhatCouldNotBeWrittenIsNotKnown) {
  Directories directories = Make(7);
  disk_.FailNth(io::MemoryDisk::Operation::kWrite, 1,
                MakeStatus(StatusCode::kResourceExhausted, "full"));
  EXPECT_FALSE(directories.Meet(NodeId(2), 20).ok());
  EXPECT_EQ(directories.Meet(NodeId(2), 21).value(), 21U);
  EXPECT_EQ(Load().Meet(NodeId(2), 22).value(), 21U);
}

TEST_F(DirectoriesTest, ASyncThatFailedIsNotTriedAgain) {
  for (const auto operation :
       {io::MemoryDisk::Operation::kSync, io::MemoryDisk::Operation::kSyncDirectory}) {
    Directories directories = Make(7);
    EXPECT_FALSE(directories.in_doubt());
    disk_.FailNth(operation, 1, MakeStatus(StatusCode::kInternal, "EIO"));
    EXPECT_FALSE(directories.Meet(NodeId(2), 20).ok());
    EXPECT_TRUE(directories.in_doubt());
    EXPECT_FALSE(directories.Meet(NodeId(2), 20).ok());
    EXPECT_FALSE(directories.SetStage(Directories::Stage::kAdmitted).ok());
    EXPECT_TRUE(Load().Meet(NodeId(2), 20).ok()) << "when it is started again";
  }
}

TEST_F(DirectoriesTest, TheFileIsAsDocumented) {
  Directories directories = Make(7);
  ASSERT_TRUE(directories.Meet(NodeId(2), 20).ok());
  ASSERT_TRUE(directories.SetStage(Directories::Stage::kAdmitted).ok());
  std::string expected("\x02\x6f\x70\x70\x69\x63\x65\x31", 8);
  for (const std::uint64_t field : {0xc1, 1, 7}) PutLe(expected, field);
  expected.append("\x01\x01\x00", 3);
  PutLe(expected, std::uint64_t{2});
  PutLe(expected, std::uint64_t{20});
  PutLe(expected, Crc32c(0, expected));
  EXPECT_EQ(Bytes(), expected);
}

TEST_F(DirectoriesTest, ADamagedFileAndAnotherOwnersAreRefusedInWords) {
  EXPECT_FALSE(Directories::Load(disk_, kFolder, kOwner).value().has_value());
  (void)Make(7);
  const Status other = Directories::Load(disk_, kFolder, {0xc2, NodeId(1)}).status();
  EXPECT_EQ(other.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(other).find("node 1 of cluster c1"), std::string::npos);
  const std::string whole = Bytes();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string spoilt = whole;
    spoilt[i] = static_cast<char>(spoilt[i] ^ 1);
    Write(spoilt);
    EXPECT_EQ(Directories::Load(disk_, kFolder, kOwner).status().code(), StatusCode::kDataLoss);
    Write(whole.substr(0, i));
    EXPECT_EQ(Directories::Load(disk_, kFolder, kOwner).status().code(), StatusCode::kDataLoss);
  }
}

// Two sets of those that a voter asks, and the voter, overlap in more than may lose their disks.
TEST(Directories, EnoughKnowAVoterForOneToRemember) {
  EXPECT_EQ(Directories::Enough(2), 1);
  EXPECT_EQ(Directories::Enough(3), 2);
  EXPECT_EQ(Directories::Enough(4), 2);
  EXPECT_EQ(Directories::Enough(5), 3);
  EXPECT_EQ(Directories::Enough(7), 5);
  for (int voters = 2; voters < 20; ++voters) {
    const int lost_max = (voters - 1) / 2;
    const int met = Directories::Enough(voters) + 1;
    EXPECT_LE(met, voters);
    EXPECT_GT(2 * met - voters, lost_max) << voters;
    EXPECT_LE(2 * (met - 1) - voters, lost_max) << "fewer would do of " << voters;
  }
}

}  // namespace
}  // namespace coppice::voter
