#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/mvcc/ops.h"
#include "common/mvcc/record.h"

namespace coppice::mvcc {

struct Event {
  RecordPtr record;  // what the key became; a tombstone for a delete
  RecordPtr prev;    // what it was; null if it did not exist
};

// All that one revision changed, in sub-revision order. Shared by all loops that have watchers.
struct EventBatch {
  Revision revision = 0;
  std::vector<Event> events;
  std::size_t bytes = 0;  // roughly, for budgets
};
using EventBatchPtr = std::shared_ptr<const EventBatch>;

// What a read is admitted by and served from: one consistent state. Immutable. Valid on a loop
// until the loop's next quiescence (Store::Quiesce), or longer through a PinnedView.
struct ReadView {
  Revision revision = 1;
  Index applied;
  Term term;                      // the highest this node has seen in applied entries
  Revision compact_revision = 0;  // reads at a revision below it are refused; 0: never compacted
  std::uint64_t auth_revision = 0;
  Time fresh_as_of = 0;        // local clock; 0 = never confirmed since the process started
  const void* root = nullptr;  // of the index; opaque
};

// Reads of a plain latest range larger than this go through a RangeCursor.
constexpr std::size_t kRangeStepBytes = 64U << 10;

// A range whose answer is produced in steps, so that a large one neither holds the loop nor memory.
// Thread: the loop that made it. It pins its view.
class RangeCursor {
 public:
  virtual ~RangeCursor() = default;
  // Known before the first step:
  virtual Error error() const = 0;
  virtual std::int64_t count() const = 0;
  virtual bool more() const = 0;
  virtual std::size_t bytes() const = 0;  // of all kvs, framed as in RangeResult
  virtual Revision revision() const = 0;  // of the view: the header's
  // Appends about `budget` more bytes of kvs; false once there are none left.
  virtual bool Next(std::size_t budget, std::string& out) = 0;
};

struct MetaWrite {
  std::string key;
  std::string value;  // empty: delete
};

struct ApplyOutput {
  std::vector<std::pair<Index, CommandResult>> results;  // one per kCommand entry
  std::vector<EventBatchPtr> events;                     // one per revision made
  Index applied;
  void Clear();
};

struct StoreOptions {
  std::size_t ring_bytes = 64U << 20;  // recent EventBatches kept for watchers
  int loops = 1;                       // loops that will read (ids 0..loops-1)
};

// Ordered, transactional key-value storage below the Store: RocksDB (rocksdb_backend.h) or memory
// (memory_backend.h, which models flush and crash). Two column families.
class KvBackend {
 public:
  enum class Family : std::uint8_t { kRev = 0, kMeta = 1 };
  struct Write {
    Family family;
    std::string key;
    std::string value;
    bool erase = false;
  };
  virtual ~KvBackend() = default;
  // Atomic, across families; ordered with other batches; lost in a crash unless flushed.
  // Never waits for the disk. Errors of this and of Flush: ResourceExhausted (no space: it may be
  // tried again); Internal or DataLoss: what is on disk is in doubt, and the process must not go on
  // writing there. Of this alone, Unavailable: it stalls until what came before is on disk. Nothing
  // was written; it is to be tried again soon.
  virtual Status Apply(std::span<const Write> batch) = 0;
  // Whether Apply would answer that it stalls: to be asked before the batch is made once more.
  // Thread: Apply's.
  virtual bool Stalled() const = 0;
  virtual Status Get(Family family, std::string_view key,
                     std::string& value) const = 0;  // NotFound
  // Visits [begin, end) in order until `visit` returns false. Empty end: to the last key.
  virtual Status Scan(
      Family family, std::string_view begin, std::string_view end,
      const std::function<bool(std::string_view, std::string_view)>& visit) const = 0;
  // Makes everything applied so far durable, all families atomically; may wait for space. Any
  // thread.
  virtual Status Flush() = 0;
  // Gives the space of erased rows of kRev in [begin, end) back to the system (etcd's Defragment);
  // an empty end: to the last key. The backend also does so by itself in time. Slow; any thread.
  virtual Status CompactRange(std::string_view begin, std::string_view end) = 0;
  // Before the end: a CompactRange that is under way, or comes later, fails soon, and so does what
  // waits for space on the disk. Any thread.
  virtual void StopCompacting() = 0;
  virtual std::uint64_t DiskBytes() const = 0;
};

// The multi-version state machine: etcd's model (one revision per write transaction) over a
// backend, with the index and the latest records in memory (docs/architecture.md, ADR on state
// layout).
//
// Threads: Apply, Flushed, PublishFresh, Compact work and everything else without a note run on the
// apply loop. View, Range, Txn (read-only), NewCursor, EventsFrom, ScanHistory and Quiesce run on
// any loop, each loop naming its id; they never block the writer, nor it them. EventsFrom,
// ScanHistory, HashKv, flushed, KeyCount and DiskBytes may be called by any thread.
// A loop that never calls Quiesce, and a cursor that is kept, keep all that later batches replace.
class Store {
 public:
  static StatusOr<std::unique_ptr<Store>> Open(std::unique_ptr<KvBackend> backend,
                                               const StoreOptions& options);
  virtual ~Store() = default;

  // --- The writer.
  // Applies contiguous committed entries as one backend batch and publishes one view. kCommand is
  // decoded here; the meta writes that the caller derived from other kinds (registry,
  // configuration) are stored in the same batch, under the caller's prefixes. An unknown entry kind
  // or version is FailedPrecondition and nothing is applied. A backend failure (disk full, or a
  // stall: KvBackend::Apply) leaves the state as it was: stop applying, and try the same again.
  virtual Status Apply(std::span<const EntryPtr> entries, std::span<const MetaWrite> meta,
                       ApplyOutput& out) = 0;
  virtual void PublishFresh(Time fresh_as_of) = 0;
  // Asks the backend to flush what is applied now. Any thread may then run it.
  virtual Status Flush() = 0;
  virtual Index flushed() const = 0;
  virtual std::size_t unflushed_bytes() const = 0;
  // One bounded slice of garbage collection after a Compact; call it each turn that has time. True
  // if there is more to do at once.
  virtual bool CollectGarbage() = 0;
  virtual std::string GetMeta(std::string_view key) const = 0;  // empty if absent
  virtual void ScanMeta(
      std::string_view prefix,
      const std::function<void(std::string_view, std::string_view)>& visit) const = 0;
  virtual bool AlarmActive(AlarmType type) const = 0;
  virtual std::vector<std::pair<NodeId, AlarmType>> Alarms() const = 0;

  // --- Readers.
  virtual const ReadView& View(int loop) const = 0;
  // The loop holds no view any more; `blocking`: it is about to wait (offline until its next View).
  virtual void Quiesce(int loop, bool blocking) = 0;

  // Appends the framed kvs to `out`. The view must be this turn's. For large answers use NewCursor.
  virtual Error Range(int loop, const ReadView& view, const RangeOp& op,
                      RangeResult& out) const = 0;
  // Reads of these keys from this view follow: has memory bring what they need side by side.
  virtual void Warm(const ReadView& view, std::span<const std::string_view> keys) const = 0;
  virtual std::unique_ptr<RangeCursor> NewCursor(int loop, const RangeOp& op) const = 0;
  // An upper bound of what Range would append for a plain latest op, O(log n), to choose between
  // them.
  virtual std::size_t EstimateBytes(const ReadView& view, const RangeOp& op) const = 0;
  virtual Error ReadTxn(int loop, const ReadView& view, const TxnOp& txn, TxnResult& out) const = 0;

  // --- Watch history.
  // The oldest revision of the ring; that of the next one while it is empty.
  virtual Revision RingFirst() const = 0;
  // Batches of the ring with revision >= from, oldest first, at most `max`; false if the ring no
  // longer reaches back to `from` (use ScanHistory).
  virtual bool EventsFrom(Revision from, std::size_t max,
                          std::vector<EventBatchPtr>& out) const = 0;
  // Reads rows of [from, to] from the backend, whole revisions, at most about `rows_max` rows, with
  // predecessors if `with_prev`; sets `next` to the revision to go on with (to + 1 when done).
  // kCompacted if `from` is compacted. May read the disk.
  virtual Error ScanHistory(Revision from, Revision to, std::size_t rows_max, bool with_prev,
                            std::vector<EventBatchPtr>& out, Revision& next) const = 0;

  // CRC32C over the logical state at `revision` (0 = latest), for HashKV.
  virtual Error HashKv(Revision revision, std::uint32_t& hash,
                       Revision& compact_revision) const = 0;
  virtual std::uint64_t DiskBytes() const = 0;
  virtual std::uint64_t KeyCount() const = 0;
  // For what only a kind of backend can do: checkpoints, defragmentation.
  virtual KvBackend& backend() = 0;
};

}  // namespace coppice::mvcc
