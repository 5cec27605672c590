#include "common/mvcc/rocksdb_backend.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "rocksdb/env.h"

namespace coppice::mvcc {
namespace {

// See rocksdb_log.h: with one, the process would end on a full disk.
TEST(RocksDbBackend, WritesNoLogFileOfItsOwn) {
  std::string path = ::testing::TempDir() + "coppice-rocksdb-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  {
    const auto backend = OpenRocksDb(path + "/store");
    ASSERT_TRUE(backend.ok());
    ASSERT_TRUE((*backend)->Apply({{{KvBackend::Family::kRev, "key", "value"}}}).ok());
    ASSERT_TRUE((*backend)->Flush().ok());
  }
  for (const auto& file : std::filesystem::directory_iterator(path + "/store")) {
    EXPECT_FALSE(file.path().filename().string().starts_with("LOG.") ||
                 file.path().filename() == "LOG")
        << file.path();
  }
  std::filesystem::remove_all(path);
}

// A database whose flushes, or compactions, can be held back: the threads for them are kept busy.
class StallTest : public ::testing::Test {
 protected:
  StallTest() {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
    RocksDbOptions options;
    options.compression = Compression::kNone;
    options.write_buffer_bytes = 128U << 10;
    backend_ = OpenRocksDb(path_ + "/store", options).value();
    gate_.lock();
  }
  ~StallTest() override {
    if (!released_) Release();
    while (holders_ > 0) std::this_thread::yield();
    backend_.reset();
    std::filesystem::remove_all(path_);
  }

  void Hold(rocksdb::Env::Priority priority) {
    rocksdb::Env& env = *rocksdb::Env::Default();
    for (int i = env.GetBackgroundThreads(priority); i > 0; --i) {
      ++holders_;
      env.Schedule(
          [](void* test) {
            auto& self = *static_cast<StallTest*>(test);
            self.gate_.lock();
            self.gate_.unlock();
            --self.holders_;
          },
          this, priority);
    }
  }
  void Release() {
    released_ = true;
    gate_.unlock();
  }
  Status Put(std::size_t bytes) {
    return backend_->Apply(
        {{{KvBackend::Family::kRev, std::to_string(++rows_), std::string(bytes, 'v')}}});
  }

  std::string path_ = ::testing::TempDir() + "coppice-stall-XXXXXX";
  std::unique_ptr<KvBackend> backend_;
  int rows_ = 0;
  std::mutex gate_;  // what keeps the threads busy
  std::atomic<int> holders_{0};
  bool released_ = false;
};

TEST_F(StallTest, AWriteThatHasToWaitForFlushesSaysSoAtOnceAndHasNoEffect) {
  Hold(rocksdb::Env::Priority::HIGH);
  Status status;
  while ((status = Put(16U << 10)).ok()) ASSERT_LT(rows_, 1000);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
  EXPECT_TRUE(backend_->Stalled());
  std::string value;
  const std::string refused = std::to_string(rows_);
  EXPECT_EQ(backend_->Get(KvBackend::Family::kRev, refused, value).code(), StatusCode::kNotFound);
  EXPECT_TRUE(backend_->Get(KvBackend::Family::kRev, "1", value).ok());
  Release();
  while (backend_->Stalled()) std::this_thread::yield();
  EXPECT_TRUE(Put(16U << 10).ok());
}

// RocksDB would slow down what comes with twenty files of one level. What is refused meanwhile it
// counts as written: a batch as large as this one would be refused again and again.
TEST_F(StallTest, CompactionsThatAreLateRefuseNothingBeforeTheyStopAll) {
  Hold(rocksdb::Env::Priority::LOW);
  for (int file = 0; file < 25; ++file) {
    ASSERT_TRUE(Put(10).ok());
    ASSERT_TRUE(backend_->Flush().ok());
  }
  EXPECT_FALSE(backend_->Stalled());
  EXPECT_TRUE(Put(1U << 20).ok());
}

}  // namespace
}  // namespace coppice::mvcc
