#include "common/mvcc/rocksdb_backend.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

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

}  // namespace
}  // namespace coppice::mvcc
