#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/consistency.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace coppice::loadgen {

enum class RecordKind : std::uint8_t {
  kPut,
  kGet,
  kDelete,    // of one key, which was there
  kWatch,     // a watcher begins: it is to see every change of its range from `revision` on
  kEvent,     // what it saw
  kWatchEnd,  // it has seen everything up to `revision`
};

enum class RecordOutcome : std::uint8_t {
  kOk,
  kFail,     // certainly not executed (a write), or not answered (a read)
  kUnknown,  // a write that may have been executed
};

// One line of a history (docs/formats.md). Times are of one monotonic clock, in microseconds: all
// records of a file come from one process.
struct Record {
  RecordKind kind = RecordKind::kGet;
  RecordOutcome outcome = RecordOutcome::kOk;
  std::uint64_t client = 0;  // or the watcher's number
  bool session = false;      // one of its client's session
  Time invoke = 0;           // when an event arrived
  Time end = 0;
  std::string key;
  std::string range_end;             // of a watch; empty: one key
  std::optional<std::string> value;  // unique to a write; nothing: the key was not there
  ReadMode mode = ReadMode::kLinearizable;
  Micros max_staleness = 0;
  Revision min_revision = 0;
  Revision revision = 0;      // in the header; of a watch: where it begins, where it ends
  Revision mod_revision = 0;  // of what was read, or of the event

  bool operator==(const Record&) const = default;
};

using History = std::vector<Record>;

inline bool IsCall(const Record& record) {
  return record.kind == RecordKind::kPut || record.kind == RecordKind::kGet ||
         record.kind == RecordKind::kDelete;
}

std::string FormatRecord(const Record& record);  // without the newline
StatusOr<Record> ParseRecord(std::string_view line);
// InvalidArgument names the line that cannot be read.
StatusOr<History> ReadHistory(const std::string& path);

// Appends records to a file. Thread: one.
class HistoryWriter {
 public:
  static StatusOr<HistoryWriter> Create(const std::string& path);
  HistoryWriter(HistoryWriter&& other) noexcept;
  HistoryWriter& operator=(HistoryWriter&&) = delete;
  ~HistoryWriter();

  void Add(const Record& record);
  Status Close();

 private:
  explicit HistoryWriter(std::FILE* file) : file_(file) {}

  std::FILE* file_;
  bool failed_ = false;
};

}  // namespace coppice::loadgen
