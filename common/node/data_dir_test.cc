#include "common/node/data_dir.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/io/memory_disk.h"

namespace coppice::node {
namespace {

constexpr const char* kEtcd = "data directory of an etcd server";

struct Case {
  std::vector<std::string> files;
  std::string voter;  // what its error says; empty: it may take the directory
  std::string learner;
};

TEST(DataDir, WhoMayTakeIt) {
  const std::vector<Case> cases = {
      {{}, "", ""},
      {{"d/somebody's"}, "", ""},
      {{"d/member/lock", "d/member/wal/LOCK", "d/member/wal/1.wal"}, "", "directory of a voter"},
      {{"d/member/lock", "d/member/wal/1.wal", "d/member/store/CURRENT"},
       "",
       "directory of a voter"},
      {{"d/member/lock", "d/member/wal/LOCK"}, "", "directory of a voter"},
      {{"d/member/lock", "d/member/wal/LOCK", "d/member/store/CURRENT"},
       "put the log back",
       "directory of a voter"},
      {{"d/lock", "d/identity"}, "directory of a learner", ""},
      {{"d/lock", "d/identity", "d/store/CURRENT"}, "directory of a learner", ""},
      {{"d/store/CURRENT"}, "", "remove it to start anew"},
      {{"d/member/snap/db", "d/member/wal/0.wal"}, kEtcd, kEtcd}};
  for (const Case& tried : cases) {
    io::MemoryDisk disk;
    ASSERT_TRUE(disk.CreateDirectories("d").ok());
    std::string name = "with";
    for (const std::string& file : tried.files) {
      name += " " + file;
      ASSERT_TRUE(disk.CreateDirectories(file.substr(0, file.rfind('/'))).ok());
      ASSERT_TRUE(disk.Open(file, io::Disk::Mode::kCreate).ok());
    }
    const auto expect = [&](const Status& status, const std::string& error) {
      EXPECT_EQ(status.ok(), error.empty()) << name << ": " << MessageOf(status);
      EXPECT_NE(MessageOf(status).find(error), std::string::npos) << MessageOf(status);
    };
    expect(CheckVoterDirectory(disk, "d"), tried.voter);
    expect(CheckLearnerDirectory(disk, "d"), tried.learner);
  }
  io::MemoryDisk empty;
  EXPECT_TRUE(CheckVoterDirectory(empty, "missing").ok());
  EXPECT_TRUE(CheckLearnerDirectory(empty, "missing").ok());
}

}  // namespace
}  // namespace coppice::node
