#include "common/io/posix_disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace coppice::io {
namespace {

class PosixDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "posix_disk_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  PosixDisk disk_;
  std::string directory_;
};

TEST_F(PosixDiskTest, ReadsWhatWasWrittenAndStopsAtTheEnd) {
  auto file = disk_.Open(Path("f"), Disk::Mode::kCreateNew).value();
  ASSERT_TRUE(file->WriteAt(4, "abcd").ok());
  ASSERT_TRUE(file->Sync().ok());
  std::string out;
  ASSERT_TRUE(file->ReadAt(0, 100, out).ok());
  EXPECT_EQ(out, std::string("\0\0\0\0abcd", 8));
  ASSERT_TRUE(file->ReadAt(8, 1, out).ok());
  EXPECT_EQ(out, "");
  ASSERT_TRUE(file->Truncate(5).ok());
  EXPECT_EQ(file->Size().value(), 5U);
}

TEST_F(PosixDiskTest, OpenModesAreKept) {
  EXPECT_EQ(disk_.Open(Path("f"), Disk::Mode::kMustExist).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(disk_.Open(Path("f"), Disk::Mode::kCreate).ok());
  EXPECT_TRUE(disk_.Open(Path("f"), Disk::Mode::kMustExist).ok());
  EXPECT_EQ(disk_.Open(Path("f"), Disk::Mode::kCreateNew).status().code(),
            StatusCode::kAlreadyExists);
}

TEST_F(PosixDiskTest, ErrorsNameOperationPathAndCause) {
  const Status status = disk_.Open(Path("none"), Disk::Mode::kMustExist).status();
  EXPECT_EQ(MessageOf(status), "open " + Path("none") + ": No such file or directory");
}

TEST_F(PosixDiskTest, FullDiskIsResourceExhaustedAndSaysWhatToDo) {
  auto file = disk_.Open("/dev/full", Disk::Mode::kMustExist);
  if (!file.ok()) GTEST_SKIP() << "no /dev/full here";
  const Status status = (*file)->WriteAt(0, "x");
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(status),
            "write /dev/full: No space left on device; free space on this file system");
}

TEST_F(PosixDiskTest, CreatesMissingParentsAndListsSorted) {
  ASSERT_TRUE(disk_.CreateDirectories(Path("a/b/c")).ok());
  ASSERT_TRUE(disk_.CreateDirectories(Path("a/b/c")).ok());
  ASSERT_TRUE(disk_.Open(Path("a/b/z"), Disk::Mode::kCreate).ok());
  ASSERT_TRUE(disk_.Open(Path("a/b/d"), Disk::Mode::kCreate).ok());
  EXPECT_EQ(disk_.List(Path("a/b")).value(), (std::vector<std::string>{"c", "d", "z"}));
  EXPECT_EQ(disk_.List(Path("none")).status().code(), StatusCode::kNotFound);
  const Status status = disk_.CreateDirectories(Path("a/b/z/x"));
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(disk_.CreateDirectories(Path("a/b/z")).ok());
}

TEST_F(PosixDiskTest, RenamesAndRemoves) {
  ASSERT_TRUE(disk_.Open(Path("a"), Disk::Mode::kCreate).ok());
  ASSERT_TRUE(disk_.Rename(Path("a"), Path("b")).ok());
  ASSERT_TRUE(disk_.SyncDirectory(directory_).ok());
  EXPECT_EQ(disk_.List(directory_).value(), (std::vector<std::string>{"b"}));
  ASSERT_TRUE(disk_.Remove(Path("b")).ok());
  EXPECT_EQ(disk_.Remove(Path("b")).code(), StatusCode::kNotFound);
  EXPECT_EQ(disk_.Rename(Path("b"), Path("c")).code(), StatusCode::kNotFound);
  EXPECT_EQ(disk_.SyncDirectory(Path("none")).code(), StatusCode::kNotFound);
}

TEST_F(PosixDiskTest, RemovesADirectoryOnlyWhenItIsEmpty) {
  ASSERT_TRUE(disk_.CreateDirectories(Path("d/e")).ok());
  EXPECT_FALSE(disk_.Remove(Path("d")).ok());
  EXPECT_TRUE(disk_.Remove(Path("d/e")).ok());
  EXPECT_TRUE(disk_.Remove(Path("d")).ok());
  EXPECT_EQ(disk_.List(Path("d")).status().code(), StatusCode::kNotFound);
}

TEST_F(PosixDiskTest, ReportsFreeSpace) {
  EXPECT_GT(disk_.FreeBytes(directory_).value(), 0U);
  EXPECT_EQ(disk_.FreeBytes(Path("none")).status().code(), StatusCode::kNotFound);
}

TEST_F(PosixDiskTest, ASecondLockIsRefusedUntilTheFirstIsGone) {
  auto first = disk_.Lock(Path("LOCK"));
  ASSERT_TRUE(first.ok());
  const auto second = disk_.Lock(Path("LOCK"));
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(second.status()), "lock " + Path("LOCK") + ": another process (pid " +
                                            std::to_string(getpid()) + ") holds the directory " +
                                            directory_ + "; stop it or use another data directory");
  first->reset();
  EXPECT_TRUE(disk_.Lock(Path("LOCK")).ok());
}

}  // namespace
}  // namespace coppice::io
