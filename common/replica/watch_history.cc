#include "common/replica/watch_history.h"

namespace coppice::replica {

bool ReadRing(const mvcc::Store& store, const NeedHistory& need, History& out) {
  out = {};
  if (!store.EventsFrom(need.from, need.rows_max, out.batches)) return false;
  // The ring has a batch for every revision, and may have newer ones than the hub knows of: those
  // reach it as batches of its own.
  while (!out.batches.empty() && out.batches.back()->revision > need.to) out.batches.pop_back();
  out.next = out.batches.empty() ? need.from : out.batches.back()->revision + 1;
  return !out.batches.empty();
}

History ReadHistory(const mvcc::Store& store, const NeedHistory& need) {
  History out;
  out.error =
      store.ScanHistory(need.from, need.to, need.rows_max, need.with_prev, out.batches, out.next);
  return out;
}

}  // namespace coppice::replica
