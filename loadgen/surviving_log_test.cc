#include "loadgen/surviving_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/io/memory_disk.h"
#include "common/io/posix_disk.h"
#include "common/mvcc/ops.h"
#include "common/wal/wal.h"
#include "loadgen/check_log.h"
#include "loadgen/check_script.h"

namespace coppice::loadgen {
namespace {

constexpr char kFolder[] = "/v1/member/wal";

EntryPtr PutEntry(std::uint64_t index, const std::string& key, const std::string& value) {
  mvcc::PutOp put;
  put.key = key;
  put.value = value;
  return Entry::Make(Term(2), Index(index), coppice::RecordKind::kCommand,
                     mvcc::EncodeCommand(std::move(put)));
}

// A voter's log of one entry per revision: a's values from revision 2 to `last`, commit index 2.
std::unique_ptr<wal::Wal> WriteLog(io::Disk& disk, const std::string& folder, Revision last) {
  wal::WalOptions options;
  options.segment_bytes = 1024;
  options.first_zeros_bytes = 512;
  options.cluster_id = 0xc1;
  options.node_id = 0x11;
  wal::Recovered recovered;
  auto wal = wal::Wal::Open(
      disk, folder, options, [](const EntryPtr&) {}, recovered);
  EXPECT_TRUE(wal.ok()) << wal.status();
  for (Revision revision = 2; revision <= last; ++revision) {
    const auto index = static_cast<std::uint64_t>(revision - 1);
    const EntryPtr entry = PutEntry(index, "a", "a" + std::to_string(revision));
    std::optional<wal::HardState> hard_state;
    if (index == 1) hard_state = wal::HardState{Term(2), NodeId(0x11), Index(2)};
    EXPECT_TRUE((*wal)->Append(std::span(&entry, 1), hard_state).ok());
  }
  EXPECT_TRUE((*wal)->Sync().ok());
  return *std::move(wal);
}

// All that was written, and a last read at revision `last`.
Script HistoryUpTo(Revision last) {
  Script script;
  for (Revision revision = 2; revision <= last; ++revision) {
    script.Put("a", "a" + std::to_string(revision), revision);
  }
  script.Get("a", "a" + std::to_string(last), last, last);
  return script;
}

std::string LastSegment(const io::MemoryDisk& disk) {
  std::string last;
  for (const auto& [path, bytes] : disk.Image()) {
    if (path.ends_with(".wal")) last = path;
  }
  return last;
}

// Cuts the file in the middle of its last record.
void Tear(io::MemoryDisk& disk, const std::string& path) {
  auto file = disk.Open(path, io::Disk::Mode::kMustExist).value();
  std::string bytes;
  ASSERT_TRUE(file->ReadAt(0, file->Size().value(), bytes).ok());
  ASSERT_TRUE(file->Truncate(bytes.find_last_not_of('\0')).ok());
}

TEST(SurvivingLog, ATornTailIsLeftOutAndNothingIsChanged) {
  io::MemoryDisk disk;
  WriteLog(disk, kFolder, 20).reset();
  Tear(disk, LastSegment(disk));
  const auto before = disk.Image();
  const auto log = ReadSurvivingLog(disk, kFolder);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(disk.Image() == before);
  EXPECT_EQ(log->entries.size(), 18U);
  EXPECT_EQ(log->commit, Index(2));

  CheckReport report;  // the torn write was acknowledged by nobody
  ASSERT_TRUE(CheckLog(HistoryUpTo(19).history(), *log, report).ok());
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
  EXPECT_EQ(report.log->past_commit, 16U);
  CheckReport lost;
  ASSERT_TRUE(CheckLog(HistoryUpTo(20).history(), *log, lost).ok());
  EXPECT_TRUE(lost.Has("past-log")) << FormatReport(lost);
}

TEST(SurvivingLog, DamageIsNamedWithFileAndOffset) {
  io::MemoryDisk disk;
  WriteLog(disk, kFolder, 20).reset();
  const std::string path = LastSegment(disk);
  ASSERT_TRUE(disk.FlipBit(path, 40, 1).ok());
  const auto log = ReadSurvivingLog(disk, kFolder);
  EXPECT_EQ(log.status().code(), StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(log.status()).find(path + " is damaged at offset 0"), std::string_view::npos)
      << log.status();
}

TEST(SurvivingLog, OfARealDirectoryOnlyOnceItsProcessHasEnded) {
  std::string folder = (std::filesystem::temp_directory_path() / "log_XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  io::PosixDisk disk;
  auto wal = WriteLog(disk, folder + "/member/wal", 9);
  const auto open = ReadSurvivingLog(folder);
  EXPECT_EQ(open.status().code(), StatusCode::kFailedPrecondition) << open.status();
  wal.reset();
  const auto closed = ReadSurvivingLog(folder);
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_EQ(closed->entries.size(), 8U);
  const auto direct = ReadSurvivingLog(folder + "/member/wal");
  EXPECT_TRUE(direct.ok()) << direct.status();
  EXPECT_FALSE(ReadSurvivingLog(folder + "/member").ok());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace coppice::loadgen
