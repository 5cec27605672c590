#include <gtest/gtest.h>

#include "common/io/memory_disk.h"
#include "common/wal/format.h"
#include "common/wal/wal.h"
#include "common/wal/wal_test_log.h"

namespace coppice::wal {
namespace {

using io::MemoryDisk;

struct Place {
  std::string path;
  std::uint64_t begin;
  std::uint64_t end;
  std::size_t entries_before;
};

// A log of three small segments, whose every record is known by place.
struct Sample {
  MemoryDisk disk;
  TestLog log;
  std::vector<std::string> segments;
  std::vector<Place> places;
  std::vector<std::string> records;

  explicit Sample(std::uint64_t entries = 12) {
    log.options.segment_bytes = 1100;
    log.options.first_zeros_bytes = 700;
    log.options.zeros_step_bytes = 200;
    EXPECT_TRUE(log.Open(disk).ok());
    for (std::uint64_t i = 1; i <= entries; ++i) {
      std::optional<HardState> hard_state;
      if (i % 3 == 0) hard_state = HardState{Term(0x0101010101010101), NodeId(7), Index(i)};
      EXPECT_TRUE(log.Append(0x0101010101010101, i, 1, 130 + i, hard_state).ok());
    }
    records = Records(Reopen());
    log.wal.reset();
    Parse();
  }

  std::vector<EntryPtr> Reopen() {
    EXPECT_TRUE(log.Open(disk).ok());
    return log.replayed;
  }

  void Parse() {
    std::size_t entries = 0;
    for (const auto& [path, bytes] : disk.Image()) {
      if (!path.ends_with(kSegmentSuffix)) continue;
      segments.push_back(path);
      RecordHeader header;
      std::uint64_t at = 0;
      while (DecodeRecordHeader(std::string_view(bytes).substr(at), header) == RecordError::kOk) {
        const std::uint64_t size = kRecordHeaderSize + header.payload_size;
        places.push_back({path, at, at + size, entries});
        entries += IsEntryKind(header.kind);
        at += size;
      }
    }
    EXPECT_EQ(segments.size(), 3U);
  }

  std::uint64_t EndOf(const std::string& path) const {
    std::uint64_t end = 0;
    for (const Place& place : places) {
      if (place.path == path) end = place.end;
    }
    return end;
  }

  void ExpectDamage(const std::string& path, std::uint64_t offset) {
    const auto before = disk.Image();
    const Status status = log.Open(disk);
    const std::string expected =
        "log segment " + path + " is damaged at offset " + std::to_string(offset) + ":";
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
    EXPECT_NE(MessageOf(status).find(expected), std::string::npos) << status << " " << expected;
    EXPECT_TRUE(log.replayed.empty());
    EXPECT_TRUE(disk.Image() == before) << "the disk was changed";
  }
};

TEST(WalDamage, AFlippedByteInAnyRecordIsNamedAndNothingIsChanged) {
  Sample sample;
  for (const Place& place : sample.places) {
    for (std::uint64_t at = place.begin; at < place.end; ++at) {
      const int bit = static_cast<int>(at % 8);
      ASSERT_TRUE(sample.disk.FlipBit(place.path, at, bit).ok());
      sample.ExpectDamage(place.path, place.begin);
      ASSERT_TRUE(sample.disk.FlipBit(place.path, at, bit).ok());
      if (HasFailure()) FAIL() << place.path << " byte " << at;
    }
  }
  EXPECT_EQ(Records(sample.Reopen()), sample.records);
}

TEST(WalDamage, AFlippedByteInTheZerosLosesNothing) {
  for (std::size_t n = 0; n < 3; ++n) {
    const Sample clean;
    const std::uint64_t size = clean.disk.Image()[clean.segments[n]].size();
    for (std::uint64_t at = clean.EndOf(clean.segments[n]); at < size; ++at) {
      Sample sample;
      ASSERT_TRUE(sample.disk.FlipBit(sample.segments[n], at, 3).ok());
      const auto before = sample.disk.Image();
      const Status status = sample.log.Open(sample.disk);
      if (status.ok()) {
        EXPECT_EQ(n, 2U);
        EXPECT_EQ(Records(sample.log.replayed), sample.records);
      } else {
        EXPECT_EQ(status.code(), StatusCode::kDataLoss);
        EXPECT_TRUE(sample.disk.Image() == before);
      }
    }
  }
}

TEST(WalDamage, TheLastSegmentCutAtAnyByteLosesOnlyWhatIsCut) {
  const Sample clean;
  const std::string last = clean.segments.back();
  for (std::uint64_t size = 0; size < clean.EndOf(last); ++size) {
    Sample sample;
    auto file = sample.disk.Open(last, io::Disk::Mode::kMustExist).value();
    ASSERT_TRUE(file->Truncate(size).ok());
    if (size < 72) {
      sample.ExpectDamage(last, 0);  // the header is durable before the file has its name
      continue;
    }
    std::size_t kept = 0;
    std::uint64_t begin = 0;
    for (const Place& place : sample.places) {
      if (place.path != last || place.end <= size) kept = place.entries_before + 1;
      if (place.path == last && place.end <= size) begin = place.end;
    }
    for (const Place& place : sample.places) {
      if (place.path == last && place.begin == begin) kept = place.entries_before;
    }
    const auto expected = std::vector<std::string>(
        sample.records.begin(), sample.records.begin() + static_cast<long>(kept));
    ASSERT_EQ(Records(sample.Reopen()), expected) << size;
    EXPECT_EQ(sample.log.recovered.torn_bytes_cut > 0, size > begin);
    ASSERT_TRUE(sample.log.Append(9, kept + 1, 2).ok());
    EXPECT_EQ(sample.Reopen().size(), kept + 2);
  }
}

TEST(WalDamage, AnEarlierSegmentCutShortIsDamage) {
  const Sample clean;
  for (std::size_t n = 0; n < 2; ++n) {
    const std::string path = clean.segments[n];
    for (std::uint64_t size = 0; size < clean.EndOf(path); ++size) {
      Sample sample;
      auto file = sample.disk.Open(path, io::Disk::Mode::kMustExist).value();
      ASSERT_TRUE(file->Truncate(size).ok());
      std::uint64_t begin = 0;
      for (const Place& place : sample.places) {
        if (place.path == path && place.end <= size) begin = place.end;
      }
      sample.ExpectDamage(path, begin);
    }
  }
}

TEST(WalDamage, AZeroSectorInTheLastSegmentIsATornWriteAndItsRestIsZeroed) {
  Sample sample(14);
  const std::string last = sample.segments.back();
  ASSERT_GT(sample.EndOf(last), kSectorBytes);
  auto file = sample.disk.Open(last, io::Disk::Mode::kMustExist).value();
  const Place* torn = nullptr;
  for (const Place& place : sample.places) {
    if (place.path == last && place.begin < kSectorBytes && place.end > kSectorBytes) torn = &place;
  }
  ASSERT_NE(torn, nullptr);
  ASSERT_TRUE(file->WriteAt(torn->begin, std::string(kSectorBytes - torn->begin, '\0')).ok());
  EXPECT_EQ(sample.Reopen().size(), torn->entries_before);
  EXPECT_GT(sample.log.recovered.torn_bytes_cut, 0U);
  const std::string bytes = sample.disk.Image()[last];
  EXPECT_EQ(bytes.find_first_not_of('\0', torn->begin), std::string::npos);
}

TEST(WalDamage, AZeroSectorInAnEarlierSegmentIsDamage) {
  Sample sample;
  const std::string path = sample.segments[1];
  auto file = sample.disk.Open(path, io::Disk::Mode::kMustExist).value();
  ASSERT_TRUE(file->WriteAt(kSectorBytes, std::string(kSectorBytes, '\0')).ok());
  for (const Place& place : sample.places) {
    if (place.path == path && place.begin < kSectorBytes && place.end > kSectorBytes) {
      sample.ExpectDamage(path, place.begin);
    }
  }
}

TEST(WalDamage, AMissingSegmentIsNamed) {
  for (std::size_t n = 0; n < 2; ++n) {
    Sample sample;
    ASSERT_TRUE(sample.disk.Remove(sample.segments[n]).ok());
    sample.ExpectDamage(sample.segments[n + 1], 0);
  }
}

TEST(WalDamage, ARenamedSegmentIsDamage) {
  Sample sample;
  ASSERT_TRUE(sample.disk.Rename(sample.segments[2], sample.segments[1]).ok());
  sample.ExpectDamage(sample.segments[1], 0);
}

// Both logs are whole and of the same node; only the chain tells that they do not belong together.
TEST(WalDamage, ASegmentOfAnotherHistoryIsDamage) {
  Sample sample;
  Sample other;
  other.Reopen();
  ASSERT_TRUE(other.log.Append(0x0101010101010101, 13, 1).ok());
  const std::string first = sample.segments[0];
  std::string bytes = sample.disk.Image()[first];
  const Place* entry = nullptr;
  for (const Place& place : sample.places) {
    if (place.path == first) entry = &place;
  }
  const EntryPtr forged =
      TestLog::Make(0x0202, sample.places[entry - sample.places.data()].entries_before + 1,
                    entry->end - entry->begin - kRecordHeaderSize);
  auto file = sample.disk.Open(first, io::Disk::Mode::kMustExist).value();
  ASSERT_TRUE(file->WriteAt(entry->begin, forged->record()).ok());
  sample.ExpectDamage(first, entry->end);
}

TEST(WalDamage, AnUnknownRecordOrVersionIsNotCalledDamage) {
  Sample sample;
  const std::string last = sample.segments.back();
  auto file = sample.disk.Open(last, io::Disk::Mode::kMustExist).value();
  const EntryPtr future = Entry::Make(Term(1), Index(13), static_cast<RecordKind>(99), "x");
  ASSERT_TRUE(file->WriteAt(sample.EndOf(last), future->record()).ok());
  const Status status = sample.log.Open(sample.disk);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(status).find("kind 99"), std::string::npos);
}

TEST(WalDamage, AForeignFileWithASegmentsSuffixIsRefused) {
  Sample sample;
  ASSERT_TRUE(sample.disk.Open("/wal/copy.wal", io::Disk::Mode::kCreate).ok());
  EXPECT_EQ(sample.log.Open(sample.disk).code(), StatusCode::kFailedPrecondition);
}

TEST(WalDamage, AnInspectionReadsATornLogOfAnyNodeAndChangesNothing) {
  Sample sample;
  const std::string last = sample.segments.back();
  auto file = sample.disk.Open(last, io::Disk::Mode::kMustExist).value();
  ASSERT_TRUE(file->Truncate(sample.EndOf(last) - 1).ok());
  ASSERT_TRUE(sample.disk.Open("/wal/x.wal.tmp", io::Disk::Mode::kCreate).ok());
  const auto before = sample.disk.Image();
  std::vector<EntryPtr> entries;
  Recovered recovered;
  const Status status = Wal::Inspect(
      sample.disk, "/wal", [&](const EntryPtr& entry) { entries.push_back(entry); }, recovered);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sample.disk.Image() == before);
  EXPECT_GT(recovered.torn_bytes_cut, 0U);
  EXPECT_EQ(Records(entries),
            std::vector<std::string>(sample.records.begin(), sample.records.end() - 1));
  EXPECT_EQ(recovered.last_index, Index(entries.size()));
}

TEST(WalDamage, AnInspectionNamesDamageAndTheAbsenceOfALog) {
  Sample sample;
  const Place& place = sample.places[2];
  ASSERT_TRUE(sample.disk.FlipBit(place.path, place.begin + 40, 0).ok());
  Recovered recovered;
  const Status damaged = Wal::Inspect(
      sample.disk, "/wal", [](const EntryPtr&) {}, recovered);
  EXPECT_EQ(damaged.code(), StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(damaged).find(place.path), std::string::npos) << damaged;
  ASSERT_TRUE(sample.disk.CreateDirectories("/empty").ok());
  const Status none = Wal::Inspect(
      sample.disk, "/empty", [](const EntryPtr&) {}, recovered);
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
}

TEST(WalDamage, AnUnfinishedSegmentIsRemoved) {
  Sample sample;
  ASSERT_TRUE(sample.disk.Open("/wal/x.wal.tmp", io::Disk::Mode::kCreate).ok());
  EXPECT_EQ(Records(sample.Reopen()), sample.records);
  EXPECT_EQ(sample.disk.Image().count("/wal/x.wal.tmp"), 0U);
}

}  // namespace
}  // namespace coppice::wal
