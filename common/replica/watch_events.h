#pragma once

#include <cstdint>
#include <string_view>

#include "common/mvcc/watch_source.h"

namespace coppice::replica {

// Appends one event, as a WatchResponse.events field, to `out`. `kv` and `prev_kv` (empty: none)
// are encoded mvccpb.KeyValue bytes.
void AppendEvent(mvcc::EncodedEvents& out, bool is_delete, std::string_view kv,
                 std::string_view prev_kv);

// The events of `events` that `filters` let pass; null if none. Shares `events` if all do.
mvcc::EncodedEventsPtr Filter(const mvcc::EncodedEventsPtr& events, mvcc::WatchFilters filters);

// Reasons of cancellation that clients see.
constexpr std::string_view kWatchCompacted =
    "etcdserver: mvcc: required revision has been compacted";
constexpr std::string_view kWatchTooSlow =
    "etcdserver: watcher took no events for too long and fell out of recent history";

}  // namespace coppice::replica
