#include "common/base/coding.h"
#include "common/base/crc32c.h"
#include "common/mvcc/store_impl.h"

namespace coppice::mvcc {

// Over the keys and records that a Range at `revision` returns, so that replicas agree whatever
// each has physically removed.
Error StoreImpl::HashKv(Revision revision, std::uint32_t& hash, Revision& compact_revision) const {
  const ViewTable::Guest guest(views_);
  const ReadState state = StateOf(guest.view());
  compact_revision = state.compact_revision;
  Revision at = 0;
  if (const Error error = AdmitRevision(state, revision, at); error != Error::kNone) return error;
  std::string frame;
  PutLe(frame, at);
  hash = Crc32c(0, frame);
  Iterator it(*state.root);
  for (it.Seek(""); it.valid(); it.Next()) {
    const Version version = VersionAt(it.slot(), at);
    if (!version.exists) continue;
    const RecordPtr record = Load(version, state.rows);
    frame.clear();
    PutLe(frame, static_cast<std::uint64_t>(record->encoded().size()));
    hash = Crc32c(Crc32c(hash, frame), record->encoded());
  }
  return Error::kNone;
}

}  // namespace coppice::mvcc
