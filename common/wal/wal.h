#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/io/disk.h"

namespace coppice::wal {

// Raft's durable voting state.
struct HardState {
  Term term;
  NodeId vote;
  Index commit;  // a hint: at least this much was committed
  bool operator==(const HardState&) const = default;
};

struct WalOptions {
  std::uint64_t segment_bytes = 64U << 20;
  std::uint64_t first_zeros_bytes = 256U << 10;  // zero-written ahead in a new segment...
  std::uint64_t zeros_step_bytes = 4U << 20;     // ...and then in these steps
  std::uint64_t cluster_id = 0;
  std::uint64_t node_id = 0;
};

// What a log held when it was opened.
struct Recovered {
  HardState hard_state;  // the last one; its commit may be past last_index if the tail was torn
  Index first_index;     // of the entries kept; last_index + 1 if none
  Index last_index;
  std::uint64_t torn_bytes_cut = 0;
};

// The voters' log: segments of records in the form of base/entry.h (docs/formats.md).
// Append and Sync are apart, so that one fdatasync covers several appends.
// A failed write or sync is final: all later calls return the same error, and the caller must end
// the process (a later fsync may lie). Only ResourceExhausted from Append is not: the disk was full
// before anything of the append was written, the log is as it was and works on.
// Thread: one at a time (the raft loop); Sync may run on another one, meanwhile no Append.
class Wal {
 public:
  // Opens or creates the log in `directory`. Every record is verified; `replay` sees the surviving
  // entries in order (a rewritten index replaces what it and its followers said before).
  // A torn tail (last segment; file ends inside the record, or a sector's part of it is all zero)
  // is cut. Other damage, a missing segment included: DataLoss naming file and offset, nothing
  // changed on disk. A log of another cluster or node, of a newer format, or that another process
  // has open: FailedPrecondition. What was recovered is durable. The disk must outlive the log.
  static StatusOr<std::unique_ptr<Wal>> Open(io::Disk& disk, std::string directory,
                                             const WalOptions& options,
                                             const std::function<void(const EntryPtr&)>& replay,
                                             Recovered& recovered);
  // What Open would recover, of whichever node's log it is, with nothing changed and nothing
  // locked: for tools. A torn tail is passed over. Nobody may be writing to the log meanwhile: what
  // is half written would look torn, or damaged. NotFound: there is no log in `directory`.
  static Status Inspect(io::Disk& disk, const std::string& directory,
                        const std::function<void(const EntryPtr&)>& replay, Recovered& recovered);
  ~Wal();

  // Appends entries (contiguous; an index at or below last_index() overwrites it and drops all
  // after it) and, if given, the hard state, which is written first: a torn append never leaves an
  // entry without the term that goes with it. One write call. Not durable until Sync. A gap or an
  // index below first_index(): InvalidArgument, nothing written.
  Status Append(std::span<const EntryPtr> entries, const std::optional<HardState>& hard_state);
  Status Sync();

  // Reads entries [from, to] that are in the log, up to `bytes_max` of records (at least one entry
  // if there is one), for a peer or learner that fell behind memory. Replaces `out`. NotFound
  // below first_index(), DataLoss if what is on disk is no longer what was written.
  Status Read(Index from, Index to, std::size_t bytes_max, std::vector<EntryPtr>& out) const;

  Index first_index() const;
  Index last_index() const;
  std::uint64_t bytes() const;  // on disk, zeros ahead included

 private:
  class Impl;
  explicit Wal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace coppice::wal
