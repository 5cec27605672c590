#include "common/wal/wal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/wal/format.h"
#include "common/wal/positions.h"
#include "common/wal/record_scanner.h"
#include "common/wal/recovery.h"
#include "common/wal/segment.h"

namespace coppice::wal {
namespace {

constexpr std::uint64_t kReadChunkBytes = 256U << 10;
constexpr std::size_t kBufferKeptBytes = 1U << 20;

// Zeros what a torn write left, so that no later record can end where an old one begins.
Status CutTail(Segment& segment, const TornTail& tail) {
  return WriteZeros(*segment.file, tail.from, tail.to);
}

// After a kill, what was read may be in the page cache only; and after a sync that failed, the
// kernel takes it for written and would not write it at the next one. Written anew, it is.
Status MakeDurable(Segment& segment) {
  std::string bytes;
  for (std::uint64_t at = 0; at < segment.end; at += bytes.size()) {
    const std::uint64_t size = std::min(segment.end - at, kRecoveryChunkBytes);
    COPPICE_RETURN_IF_ERROR(segment.file->ReadAt(at, size, bytes));
    if (bytes.empty()) return DamagedAt(segment.path, at, "the file shrank while it was read");
    COPPICE_RETURN_IF_ERROR(segment.file->WriteAt(at, bytes));
  }
  return segment.file->Sync();
}

}  // namespace

class Wal::Impl {
 public:
  Impl(io::Disk& disk, std::string directory, const WalOptions& options)
      : disk_(disk), directory_(std::move(directory)), options_(options) {}

  Status Open(const std::function<void(const EntryPtr&)>& replay, Recovered& recovered);
  Status Inspect(const std::function<void(const EntryPtr&)>& replay, Recovered& recovered);
  Status Append(std::span<const EntryPtr> entries, const std::optional<HardState>& hard_state);
  Status Sync();
  Status Read(Index from, Index to, std::size_t bytes_max, std::vector<EntryPtr>& out) const;

  const Log& log() const { return log_; }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const Segment& segment : log_.segments) sum += segment.size;
    return sum;
  }

 private:
  using Visit = std::function<bool(EntryPtr)>;  // false ends the walk

  Status Replay(const TornTail& tail, const std::function<void(const EntryPtr&)>& replay,
                Recovered& recovered) const;
  Status CheckContiguous(std::span<const EntryPtr> entries) const;
  Status MakeRoom(std::uint64_t size);
  Status Roll();
  Status AddSegment();
  void Note(std::span<const EntryPtr> entries, std::uint64_t offset);
  Status Walk(Index from, Index to, const Visit& visit) const;
  const Segment& SegmentAt(std::uint64_t sequence) const {
    return log_.segments[sequence - log_.segments.front().sequence];
  }
  Status Fail(const Status& status) {
    failed_ = status;
    return status;
  }

  io::Disk& disk_;
  const std::string directory_;
  const WalOptions options_;
  std::unique_ptr<io::File> lock_;
  Log log_;
  Status failed_;
  std::string buffer_;
};

Status Wal::Impl::Open(const std::function<void(const EntryPtr&)>& replay, Recovered& recovered) {
  COPPICE_RETURN_IF_ERROR(disk_.CreateDirectories(directory_));
  COPPICE_ASSIGN_OR_RETURN(lock_, disk_.Lock(directory_ + "/" + std::string(kLockName)));
  TornTail tail;
  std::vector<std::string> unfinished;
  const Owner owner{options_.cluster_id, options_.node_id};
  COPPICE_RETURN_IF_ERROR(ReadLog(disk_, directory_, owner, log_, tail, unfinished));

  for (const std::string& path : unfinished) COPPICE_RETURN_IF_ERROR(disk_.Remove(path));
  if (log_.segments.empty()) {
    COPPICE_RETURN_IF_ERROR(AddSegment());
  } else {
    COPPICE_RETURN_IF_ERROR(CutTail(log_.segments.back(), tail));
    COPPICE_RETURN_IF_ERROR(MakeDurable(log_.segments.back()));
    COPPICE_RETURN_IF_ERROR(disk_.SyncDirectory(directory_));
  }
  return Replay(tail, replay, recovered);
}

Status Wal::Impl::Inspect(const std::function<void(const EntryPtr&)>& replay,
                          Recovered& recovered) {
  TornTail tail;
  std::vector<std::string> unfinished;
  COPPICE_RETURN_IF_ERROR(ReadLog(disk_, directory_, std::nullopt, log_, tail, unfinished));
  if (log_.segments.empty()) {
    return MakeStatus(StatusCode::kNotFound,
                      fmt::format("{} has no log segments (*.wal)", directory_));
  }
  return Replay(tail, replay, recovered);
}

Status Wal::Impl::Replay(const TornTail& tail, const std::function<void(const EntryPtr&)>& replay,
                         Recovered& recovered) const {
  recovered.hard_state = log_.hard_state.value_or(HardState());
  recovered.first_index = log_.first_index;
  recovered.last_index = log_.last_index;
  recovered.torn_bytes_cut = tail.to - tail.from;
  return Walk(log_.first_index, log_.last_index, [&](const EntryPtr& entry) {
    replay(entry);
    return true;
  });
}

Status Wal::Impl::CheckContiguous(std::span<const EntryPtr> entries) const {
  if (entries.empty()) return OkStatus();
  Index expected = entries.front()->index();
  if (expected < log_.first_index || expected > log_.last_index + 1) {
    return MakeStatus(StatusCode::kInvalidArgument,
                      fmt::format("append at index {} to a log of [{}, {}]", expected.value(),
                                  log_.first_index.value(), log_.last_index.value()));
  }
  for (const EntryPtr& entry : entries) {
    if (entry->index() != expected || !IsEntryKind(entry->kind())) {
      return MakeStatus(
          StatusCode::kInvalidArgument,
          fmt::format("append of index {} and kind {} where entry {} is due",
                      entry->index().value(), static_cast<int>(entry->kind()), expected.value()));
    }
    ++expected;
  }
  return OkStatus();
}

Status Wal::Impl::Append(std::span<const EntryPtr> entries,
                         const std::optional<HardState>& hard_state) {
  if (!failed_.ok()) return failed_;
  COPPICE_RETURN_IF_ERROR(CheckContiguous(entries));
  buffer_.clear();
  if (hard_state) AppendHardState(*hard_state, buffer_);
  const std::size_t entries_at = buffer_.size();
  for (const EntryPtr& entry : entries) buffer_.append(entry->record());
  if (buffer_.empty()) return OkStatus();
  COPPICE_RETURN_IF_ERROR(MakeRoom(buffer_.size()));

  Segment& segment = log_.segments.back();
  Status status = segment.file->WriteAt(segment.end, buffer_);
  // Part of it may be there by now; ResourceExhausted would say that nothing is.
  if (status.code() == StatusCode::kResourceExhausted) {
    status = MakeStatus(StatusCode::kInternal, MessageOf(status));
  }
  if (!status.ok()) return Fail(status);
  if (hard_state) log_.hard_state = hard_state;
  Note(entries, segment.end + entries_at);
  segment.last_crc = entries.empty() ? HeaderCrcOf(buffer_) : HeaderCrcOf(entries.back()->record());
  segment.end += buffer_.size();
  if (buffer_.capacity() > kBufferKeptBytes) std::string().swap(buffer_);
  return OkStatus();
}

void Wal::Impl::Note(std::span<const EntryPtr> entries, std::uint64_t offset) {
  for (const EntryPtr& entry : entries) {
    log_.positions.Note({entry->index(), log_.segments.back().sequence, offset});
    log_.last_index = entry->index();
    offset += entry->record().size();
  }
}

// The log's state changes only where that succeeded, so that a full disk can be tried again.
Status Wal::Impl::MakeRoom(std::uint64_t size) {
  const Segment& last = log_.segments.back();
  Status status;
  if (last.end > last.preamble && last.end + size > options_.segment_bytes) status = Roll();
  if (status.ok()) {
    Segment& segment = log_.segments.back();
    status = WriteZerosAhead(segment, segment.end + size, options_);
  }
  if (status.ok() || status.code() == StatusCode::kResourceExhausted) return status;
  return Fail(status);
}

Status Wal::Impl::Roll() {
  // Only the last segment may be torn, so the others are durable before there is a new last one.
  COPPICE_RETURN_IF_ERROR(Sync());
  return AddSegment();
}

Status Wal::Impl::AddSegment() {
  SegmentHeader header;
  header.cluster_id = options_.cluster_id;
  header.node_id = options_.node_id;
  header.sequence = 1;
  header.next_index = log_.last_index + 1;
  if (!log_.segments.empty()) {
    const Segment& previous = log_.segments.back();
    header.sequence = previous.sequence + 1;
    header.previous_end = previous.end;
    header.previous_crc = previous.last_crc;
  }
  COPPICE_ASSIGN_OR_RETURN(Segment segment,
                           CreateSegment(disk_, directory_, header, log_.hard_state, options_));
  log_.segments.push_back(std::move(segment));
  return OkStatus();
}

Status Wal::Impl::Sync() {
  if (!failed_.ok()) return failed_;
  Status status = log_.segments.back().file->Sync();
  if (status.ok()) return status;
  // Whatever the cause, what was written is in doubt from now on.
  return Fail(MakeStatus(StatusCode::kInternal, MessageOf(status)));
}

Status Wal::Impl::Read(Index from, Index to, std::size_t bytes_max,
                       std::vector<EntryPtr>& out) const {
  out.clear();
  if (from < log_.first_index) {
    return MakeStatus(StatusCode::kNotFound, fmt::format("entry {} is gone; the log begins at {}",
                                                         from.value(), log_.first_index.value()));
  }
  std::size_t bytes = 0;
  return Walk(from, std::min(to, log_.last_index), [&](EntryPtr entry) {
    bytes += entry->record().size();
    if (!out.empty() && bytes > bytes_max) return false;
    out.push_back(std::move(entry));
    return bytes < bytes_max;
  });
}

Status Wal::Impl::Walk(Index from, Index to, const Visit& visit) const {
  std::optional<RecordScanner> scanner;
  std::uint64_t open = 0;  // the segment that `scanner` reads
  Index next = from;
  while (next <= to) {
    Index until;
    const Position at = log_.positions.Find(next, until);
    const Segment& segment = SegmentAt(at.segment);
    if (open == at.segment) {
      scanner->Seek(at.offset);
    } else {
      scanner.emplace(*segment.file, at.offset, segment.end, kReadChunkBytes);
      open = at.segment;
    }
    while (next <= to && next < until) {
      ScannedRecord record;
      COPPICE_ASSIGN_OR_RETURN(const ScanResult result, scanner->Next(record));
      if (result != ScanResult::kRecord) {
        return DamagedAt(segment.path, scanner->offset(), "what was written is no longer there");
      }
      if (!IsEntryKind(record.header.kind) || record.header.index < next) continue;
      if (record.header.index != next) {
        return DamagedAt(segment.path, record.offset, "another entry is in this place");
      }
      if (!visit(std::make_shared<const Entry>(record.header, std::string(record.bytes)))) {
        return OkStatus();
      }
      ++next;
    }
  }
  return OkStatus();
}

Wal::Wal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Wal::~Wal() = default;

StatusOr<std::unique_ptr<Wal>> Wal::Open(io::Disk& disk, std::string directory,
                                         const WalOptions& options,
                                         const std::function<void(const EntryPtr&)>& replay,
                                         Recovered& recovered) {
  auto impl = std::make_unique<Impl>(disk, std::move(directory), options);
  COPPICE_RETURN_IF_ERROR(impl->Open(replay, recovered));
  return std::unique_ptr<Wal>(new Wal(std::move(impl)));
}

Status Wal::Inspect(io::Disk& disk, const std::string& directory,
                    const std::function<void(const EntryPtr&)>& replay, Recovered& recovered) {
  return Impl(disk, directory, WalOptions()).Inspect(replay, recovered);
}

Status Wal::Append(std::span<const EntryPtr> entries, const std::optional<HardState>& hard_state) {
  return impl_->Append(entries, hard_state);
}
Status Wal::Sync() {
  return impl_->Sync();
}
Status Wal::Read(Index from, Index to, std::size_t bytes_max, std::vector<EntryPtr>& out) const {
  return impl_->Read(from, to, bytes_max, out);
}
Index Wal::first_index() const {
  return impl_->log().first_index;
}
Index Wal::last_index() const {
  return impl_->log().last_index;
}
std::uint64_t Wal::bytes() const {
  return impl_->bytes();
}

}  // namespace coppice::wal
