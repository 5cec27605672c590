#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/mvcc/store_impl.h"

namespace coppice::mvcc {
namespace {

// Bounds of one slice.
constexpr int kSlotsMax = 1024;
constexpr std::size_t kRowsMax = 256;

// What a key may lose at a compact revision. Reads at it need its newest version of then, unless
// that is a tombstone; a watch that starts at it needs the rows of that revision, tombstones
// included (etcd 18089, 19179).
struct Trim {
  std::string key;
  bool remove = false;           // the key with all its versions
  std::vector<Superseded> keep;  // else: of the superseded ones
};

// Appends the rows to erase to `dead`; false if there is nothing to do for the key.
bool Examine(const Slot& slot, Revision compact, std::vector<RowId>& dead, Trim& trim) {
  const Record& newest = *slot.record;
  std::vector<Superseded> versions;
  if (slot.older != nullptr) {
    const auto items = slot.older->items();
    // A batch that the backend refused may have left its own behind; they are not older.
    const auto end = std::find_if(items.begin(), items.end(), [&newest](const Superseded& version) {
      return version.id >= newest.id();
    });
    versions.assign(items.begin(), end);
  }
  versions.push_back({newest.id(), newest.tombstone()});
  const Revision boundary = compact + (COPPICE_MUTANT(kCompactWrongBoundary) ? 1 : 0);
  const auto after = std::find_if(versions.begin(), versions.end(),
                                  [boundary](const Superseded& v) { return v.id.main > boundary; });
  std::size_t needed = static_cast<std::size_t>(after - versions.begin());
  if (needed == 0) return false;
  --needed;  // the newest at the compact revision
  const std::size_t before = dead.size();
  for (std::size_t i = 0; i < versions.size(); ++i) {
    const Superseded& version = versions[i];
    const bool gone =
        version.id.main < compact && (i < needed || (i == needed && version.tombstone));
    if (gone) {
      dead.push_back(version.id);
    } else if (i + 1 < versions.size()) {
      trim.keep.push_back(version);
    }
  }
  trim.remove = dead.size() - before == versions.size();
  return dead.size() > before;
}

Older* Rebuilt(const std::vector<Superseded>& versions) {
  if (versions.empty()) return nullptr;
  Older* older = Older::New(static_cast<std::uint32_t>(versions.size()) + 1);
  for (const Superseded& version : versions) older->Append(version);
  return older;
}

std::vector<KvBackend::Write> Erasures(const std::vector<RowId>& rows) {
  std::vector<KvBackend::Write> writes;
  writes.reserve(rows.size());
  for (const RowId id : rows) {
    writes.push_back({KvBackend::Family::kRev, RowKey(id), "", true});
  }
  return writes;
}

}  // namespace

// A sweep over the index, a slice at a time, erases the rows that no read can ask for any more.
// The erasures follow the compact revision in the backend's order, so that what a crash leaves
// never lacks history that its own compact revision promises; and they wait until no reader holds a
// view from before the compaction.
bool StoreImpl::CollectGarbage() {
  views_.Reclaim();
  if (swept_revision_ >= state_.compact_revision || backend_->Stalled()) return false;
  if (sweep_revision_ <= swept_revision_) {
    if (views_.oldest().compact_revision < state_.compact_revision) return false;
    sweep_revision_ = state_.compact_revision;
    sweep_key_.clear();
  }

  std::vector<RowId> dead;
  std::vector<Trim> trims;
  Iterator it(*tree_.root());
  it.Seek(sweep_key_);
  for (int slots = 0; it.valid() && slots < kSlotsMax && dead.size() < kRowsMax;
       it.Next(), ++slots) {
    if (it.live() && it.slot().older == nullptr) continue;
    Trim trim;
    if (!Examine(it.slot(), sweep_revision_, dead, trim)) continue;
    trim.key = it.key();
    trims.push_back(std::move(trim));
  }
  const bool finished = !it.valid();
  std::string next = finished ? std::string() : std::string(it.key());

  if (!dead.empty()) {
    if (!WriteBatch(Erasures(dead)).ok())
      return false;  // the disk is full: the next call tries again
    for (const Trim& trim : trims) {
      if (trim.remove) {
        tree_.Remove(trim.key);
      } else {
        tree_.SetOlder(trim.key, Rebuilt(trim.keep));
      }
    }
    Garbage garbage;
    tree_.Commit(garbage);
    Publish(std::move(garbage));
  }
  sweep_key_ = std::move(next);
  if (finished) swept_revision_ = sweep_revision_;
  return swept_revision_ < state_.compact_revision;
}

}  // namespace coppice::mvcc
