#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/entry.h"
#include "common/io/memory_disk.h"
#include "common/wal/wal.h"

namespace coppice::wal {

// For the log's tests: a log in "/wal" of a disk in memory, and what it said when it was opened.
struct TestLog {
  WalOptions options = SmallOptions();
  Recovered recovered;
  std::vector<EntryPtr> replayed;
  std::unique_ptr<Wal> wal;

  static WalOptions SmallOptions() {
    WalOptions options;
    options.segment_bytes = 4096;
    options.first_zeros_bytes = 1024;
    options.zeros_step_bytes = 1536;
    options.cluster_id = 0xc1;
    options.node_id = 0x11;
    return options;
  }

  Status Open(io::Disk& disk) {
    wal.reset();
    replayed.clear();
    recovered = Recovered();
    auto opened = Wal::Open(
        disk, "/wal", options, [&](const EntryPtr& entry) { replayed.push_back(entry); },
        recovered);
    if (!opened.ok()) return opened.status();
    wal = std::move(opened).value();
    return OkStatus();
  }
  // Entries [first, first + count) of `term`, each with its own payload of `size` bytes.
  Status Append(std::uint64_t term, std::uint64_t first, std::uint64_t count, std::size_t size = 50,
                std::optional<HardState> hard_state = std::nullopt) {
    std::vector<EntryPtr> entries;
    for (std::uint64_t i = first; i < first + count; ++i) entries.push_back(Make(term, i, size));
    return wal->Append(entries, hard_state);
  }
  static EntryPtr Make(std::uint64_t term, std::uint64_t index, std::size_t size) {
    std::string payload;
    for (std::size_t i = 0; i < size; ++i) payload += static_cast<char>('!' + (index * 7 + i) % 90);
    return Entry::Make(Term(term), Index(index), RecordKind::kCommand, payload);
  }
};

inline std::vector<std::string> Records(const std::vector<EntryPtr>& entries) {
  std::vector<std::string> records;
  for (const EntryPtr& entry : entries) records.emplace_back(entry->record());
  return records;
}

// "term:index" of each.
inline std::string Show(const std::vector<EntryPtr>& entries) {
  std::string out;
  for (const EntryPtr& entry : entries) {
    out += (out.empty() ? "" : " ") + std::to_string(entry->term().value()) + ":" +
           std::to_string(entry->index().value());
  }
  return out;
}

}  // namespace coppice::wal
