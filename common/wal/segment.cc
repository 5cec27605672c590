#include "common/wal/segment.h"

#include <algorithm>
#include <utility>

#include "common/base/mutant.h"

namespace coppice::wal {
namespace {

constexpr std::uint64_t kZerosChunk = 1U << 20;

Status Fill(io::File& file, const std::string& preamble, std::uint64_t size) {
  COPPICE_RETURN_IF_ERROR(file.Truncate(0));
  std::string bytes = preamble;
  bytes.resize(size);
  COPPICE_RETURN_IF_ERROR(file.WriteAt(0, bytes));
  return file.Sync();
}

}  // namespace

StatusOr<Segment> CreateSegment(io::Disk& disk, const std::string& directory,
                                const SegmentHeader& header,
                                const std::optional<HardState>& hard_state,
                                const WalOptions& options) {
  std::string preamble = EncodeSegmentHeader(header);
  Segment segment;
  segment.last_crc = HeaderCrcOf(preamble);
  if (hard_state) {
    const std::size_t begin = preamble.size();
    AppendHardState(*hard_state, preamble);
    segment.last_crc = HeaderCrcOf(std::string_view(preamble).substr(begin));
  }
  segment.path = directory + "/" + SegmentFileName(header.sequence, header.next_index);
  segment.sequence = header.sequence;
  segment.preamble = segment.end = preamble.size();
  segment.size = std::max<std::uint64_t>(preamble.size(), options.first_zeros_bytes);

  const std::string unfinished =
      segment.path.substr(0, segment.path.size() - kSegmentSuffix.size()) +
      std::string(kUnfinishedSuffix);
  COPPICE_ASSIGN_OR_RETURN(segment.file, disk.Open(unfinished, io::Disk::Mode::kCreate));
  Status status = Fill(*segment.file, preamble, segment.size);
  if (status.ok()) status = disk.Rename(unfinished, segment.path);
  if (!status.ok()) {
    // It is in nobody's way: the next attempt, and the next start, take care of it as well.
    (void)disk.Remove(unfinished);
    return status;
  }
  if (!COPPICE_MUTANT(kDropDirectoryFsync)) status = disk.SyncDirectory(directory);
  if (!status.ok()) return MakeStatus(StatusCode::kInternal, MessageOf(status));
  return segment;
}

Status WriteZerosAhead(Segment& segment, std::uint64_t needed, const WalOptions& options) {
  if (needed <= segment.size) return OkStatus();
  const std::uint64_t step_end =
      std::min(segment.size + options.zeros_step_bytes, options.segment_bytes);
  const std::uint64_t target = std::max(needed, step_end);
  COPPICE_RETURN_IF_ERROR(WriteZeros(*segment.file, segment.size, target));
  segment.size = target;
  return OkStatus();
}

Status WriteZeros(io::File& file, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return OkStatus();
  const std::string zeros(std::min(kZerosChunk, to - from), '\0');
  while (from < to) {
    const std::uint64_t size = std::min<std::uint64_t>(zeros.size(), to - from);
    COPPICE_RETURN_IF_ERROR(file.WriteAt(from, std::string_view(zeros).substr(0, size)));
    from += size;
  }
  return OkStatus();
}

}  // namespace coppice::wal
