#include "common/wal/recovery.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "common/base/mutant.h"
#include "common/wal/format.h"
#include "common/wal/record_scanner.h"

namespace coppice::wal {
namespace {

struct SegmentFile {
  std::uint64_t sequence;
  Index next_index;
  std::string path;
};

StatusOr<std::vector<SegmentFile>> ListSegments(io::Disk& disk, const std::string& directory,
                                                std::vector<std::string>& unfinished) {
  COPPICE_ASSIGN_OR_RETURN(const std::vector<std::string> names, disk.List(directory));
  std::vector<SegmentFile> files;  // in the order of names, which is that of sequences
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (name.ends_with(kUnfinishedSuffix)) unfinished.push_back(path);
    if (!name.ends_with(kSegmentSuffix)) continue;
    SegmentFile file{0, Index(), path};
    if (!ParseSegmentFileName(name, file.sequence, file.next_index)) {
      return MakeStatus(StatusCode::kFailedPrecondition,
                        fmt::format("{} is not the name of a log segment; is this the log's "
                                    "directory? If so, move the file away",
                                    path));
    }
    files.push_back(std::move(file));
  }
  return files;
}

// Reads segments one after the other into a Log.
class LogReader {
 public:
  LogReader(io::Disk& disk, std::optional<Owner> owner, Log& log)
      : disk_(disk), owner_(owner), log_(log) {}

  // Up to the first thing that is not a whole record; says what that is and where.
  Status Read(const SegmentFile& file, bool is_last, TornTail& tail);

 private:
  Status CheckPlace(const SegmentFile& file) const;
  Status TakeHeader(const SegmentFile& file, const ScannedRecord& record);
  Status CheckOwner(const SegmentFile& file, const SegmentHeader& header);
  Status Take(const Segment& segment, const ScannedRecord& record);
  Status TakeHardState(const Segment& segment, const ScannedRecord& record);

  io::Disk& disk_;
  std::optional<Owner> owner_;
  Log& log_;
};

Status LogReader::CheckPlace(const SegmentFile& file) const {
  const std::uint64_t expected = log_.segments.empty() ? 1 : log_.segments.back().sequence + 1;
  if (file.sequence == expected) return OkStatus();
  if (file.sequence < expected) {
    return DamagedAt(file.path, 0,
                     fmt::format("segment number {:x} is there twice", file.sequence));
  }
  return DamagedAt(file.path, 0, fmt::format("segment number {:x} before it is missing", expected));
}

Status LogReader::CheckOwner(const SegmentFile& file, const SegmentHeader& header) {
  const Owner owner{header.cluster_id, header.node_id};
  if (!owner_) owner_ = owner;
  if (owner == *owner_) return OkStatus();
  return MakeStatus(
      StatusCode::kFailedPrecondition,
      fmt::format("{} is the log of node {:x} of cluster {:x}, but this is node {:x} of cluster "
                  "{:x}; use the data directory of this node",
                  file.path, header.node_id, header.cluster_id, owner_->node_id,
                  owner_->cluster_id));
}

Status NewerFormat(const std::string& path, const ScannedRecord& record) {
  return MakeStatus(StatusCode::kFailedPrecondition,
                    fmt::format("{} has a record of kind {} and version {} at offset {}, which "
                                "this release does not know; run the release that wrote it",
                                path, static_cast<int>(record.header.kind), record.header.version,
                                record.offset));
}

Status LogReader::TakeHeader(const SegmentFile& file, const ScannedRecord& record) {
  if (record.header.kind != RecordKind::kSegmentHeader) {
    return DamagedAt(file.path, 0, "it does not begin with a segment header");
  }
  if (record.header.version != kFormatVersion) return NewerFormat(file.path, record);
  SegmentHeader header;
  if (!DecodeSegmentHeader(record.header, record.bytes.substr(kRecordHeaderSize), header)) {
    return DamagedAt(file.path, 0, "its segment header has a wrong size");
  }
  COPPICE_RETURN_IF_ERROR(CheckOwner(file, header));
  if (header.sequence != file.sequence || header.next_index != file.next_index) {
    return DamagedAt(file.path, 0,
                     fmt::format("its header says {}, so the file was renamed or copied",
                                 SegmentFileName(header.sequence, header.next_index)));
  }
  const bool first = log_.segments.empty();
  const std::uint64_t end = first ? 0 : log_.segments.back().end;
  const std::uint32_t crc = first ? 0 : log_.segments.back().last_crc;
  if (header.previous_end != end || header.previous_crc != crc ||
      header.next_index != log_.last_index + 1) {
    const std::string& before = first ? file.path : log_.segments.back().path;
    return DamagedAt(before, end,
                     fmt::format("its records end here, but {} was begun after offset {}",
                                 file.path, header.previous_end));
  }
  return OkStatus();
}

Status LogReader::TakeHardState(const Segment& segment, const ScannedRecord& record) {
  if (record.header.version != kFormatVersion) return NewerFormat(segment.path, record);
  HardState hard_state;
  if (!DecodeHardState(record.header, record.bytes.substr(kRecordHeaderSize), hard_state)) {
    return DamagedAt(segment.path, record.offset, "a hard state has a wrong size");
  }
  log_.hard_state = hard_state;
  return OkStatus();
}

Status LogReader::Take(const Segment& segment, const ScannedRecord& record) {
  if (record.header.kind == RecordKind::kHardState) return TakeHardState(segment, record);
  if (record.header.kind == RecordKind::kSegmentHeader) {
    return DamagedAt(segment.path, record.offset, "a segment header in the middle of a segment");
  }
  if (!IsEntryKind(record.header.kind)) return NewerFormat(segment.path, record);
  const Index index = record.header.index;
  if (index < log_.first_index || index > log_.last_index + 1) {
    return DamagedAt(segment.path, record.offset,
                     fmt::format("entry {} follows entry {}, so entries are missing", index.value(),
                                 log_.last_index.value()));
  }
  log_.positions.Note({index, segment.sequence, record.offset});
  log_.last_index = index;
  return OkStatus();
}

Status LogReader::Read(const SegmentFile& file, bool is_last, TornTail& tail) {
  COPPICE_RETURN_IF_ERROR(CheckPlace(file));
  Segment segment;
  segment.path = file.path;
  segment.sequence = file.sequence;
  COPPICE_ASSIGN_OR_RETURN(segment.file, disk_.Open(file.path, io::Disk::Mode::kMustExist));
  COPPICE_ASSIGN_OR_RETURN(segment.size, segment.file->Size());
  RecordScanner scanner(*segment.file, 0, segment.size, kRecoveryChunkBytes);
  ScannedRecord record;
  ScanResult result;
  while (true) {
    COPPICE_ASSIGN_OR_RETURN(result, scanner.Next(record));
    if (result != ScanResult::kRecord) break;
    COPPICE_RETURN_IF_ERROR(record.offset == 0 ? TakeHeader(file, record) : Take(segment, record));
    if (record.offset == 0) segment.preamble = scanner.offset();
    segment.last_crc = HeaderCrcOf(record.bytes);
  }
  segment.end = scanner.offset();
  if (segment.end == 0) {
    // A segment gets its name only when its header is durable, so this was no torn write.
    return DamagedAt(file.path, 0, result == ScanResult::kEnd ? "it is empty" : scanner.reason());
  }
  const bool damaged = result == ScanResult::kDamaged || (result == ScanResult::kTorn && !is_last);
  if (damaged && !COPPICE_MUTANT(kCutDamagedLog)) {
    return DamagedAt(file.path, segment.end, scanner.reason());
  }
  tail.from = segment.end;
  COPPICE_ASSIGN_OR_RETURN(tail.to, scanner.ZerosFrom());
  log_.segments.push_back(std::move(segment));
  return OkStatus();
}

}  // namespace

Status ReadLog(io::Disk& disk, const std::string& directory, std::optional<Owner> owner, Log& log,
               TornTail& tail, std::vector<std::string>& unfinished) {
  COPPICE_ASSIGN_OR_RETURN(const std::vector<SegmentFile> files,
                           ListSegments(disk, directory, unfinished));
  LogReader reader(disk, owner, log);
  for (std::size_t i = 0; i < files.size(); ++i) {
    COPPICE_RETURN_IF_ERROR(reader.Read(files[i], i + 1 == files.size(), tail));
  }
  return OkStatus();
}

Status DamagedAt(const std::string& path, std::uint64_t offset, std::string_view reason) {
  return MakeStatus(
      StatusCode::kDataLoss,
      fmt::format("log segment {} is damaged at offset {}: {}; nothing was changed. Restore the "
                  "file as it was when this voter stopped; an older one, or an empty directory, "
                  "would forget what this voter has promised",
                  path, offset, reason));
}

}  // namespace coppice::wal
