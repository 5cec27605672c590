#include "common/mvcc/rocksdb_space.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

namespace coppice::mvcc {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Takes half of each write while the disk is full, as a disk does whose last block that was.
class Full final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Full(std::unique_ptr<rocksdb::FSWritableFile>&& file, const std::atomic<bool>& full)
      : FSWritableFileOwnerWrapper(std::move(file)), full_(full) {}
  using FSWritableFileOwnerWrapper::PositionedAppend;
  IOStatus PositionedAppend(const Slice& data, std::uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    if (!full_) return target()->PositionedAppend(data, offset, options, debug);
    const Slice half(data.data(), data.size() / 2);
    (void)target()->PositionedAppend(half, offset, options, debug);
    return IOStatus::NoSpace("full");
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return full_ ? IOStatus::NoSpace("full") : target()->Sync(options, debug);
  }

 private:
  const std::atomic<bool>& full_;
};

class FullDisk final : public rocksdb::FileSystemWrapper {
 public:
  explicit FullDisk(const std::atomic<bool>& full)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), full_(full) {}
  const char* Name() const override { return "FullDisk"; }
  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<Full>(std::move(*file), full_);
    return status;
  }

 private:
  const std::atomic<bool>& full_;
};

struct SpaceWaitTest : ::testing::Test {
  SpaceWaitTest() {
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    EXPECT_TRUE(files->NewWritableFile(folder + "/file", {}, &file, nullptr).ok());
  }
  ~SpaceWaitTest() override { std::filesystem::remove_all(folder); }

  IOStatus Append(const Slice& data) { return file->Append(data, {}, nullptr); }
  std::string Contents() const {
    std::ifstream in(folder + "/file");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void AwaitWaiting() const {
    while (!space->waiting()) std::this_thread::yield();
  }

  std::string folder = ::testing::TempDir() + "coppice-space-XXXXXX";
  std::atomic<bool> full{false};
  std::shared_ptr<SpaceWait> space = std::make_shared<SpaceWait>();
  std::shared_ptr<rocksdb::FileSystem> files =
      WaitForSpace(std::make_shared<FullDisk>(full), space);
  std::unique_ptr<rocksdb::FSWritableFile> file;
};

TEST_F(SpaceWaitTest, AWriteWaitsForSpaceAndIsThenWholeOnce) {
  space->Begin();
  ASSERT_TRUE(Append("before ").ok());
  full = true;
  IOStatus status;
  std::thread writer([&] { status = Append("waiting "); });
  AwaitWaiting();
  full = false;
  writer.join();
  EXPECT_TRUE(status.ok());
  EXPECT_FALSE(space->waiting());
  ASSERT_TRUE(Append("after").ok());
  EXPECT_EQ(Contents(), "before waiting after");
}

TEST_F(SpaceWaitTest, TheEndEndsAWaitAndThoseThatCome) {
  space->Begin();
  full = true;
  IOStatus status;
  std::thread writer([&] { status = Append("waiting"); });
  AwaitWaiting();
  space->End();
  writer.join();
  EXPECT_TRUE(status.IsBusy()) << status.ToString();
  EXPECT_TRUE(Append("too late").IsBusy());
}

TEST_F(SpaceWaitTest, NothingWaitsBeforeItBegins) {
  full = true;
  EXPECT_TRUE(Append("first").IsNoSpace());
}

TEST_F(SpaceWaitTest, ASyncWithoutSpaceIsAnErrorAndNotRepeated) {
  space->Begin();
  ASSERT_TRUE(Append("written").ok());
  full = true;
  const IOStatus status = file->Sync({}, nullptr);
  EXPECT_TRUE(status.IsIOError()) << status.ToString();
  EXPECT_FALSE(status.IsNoSpace());
}

}  // namespace
}  // namespace coppice::mvcc
