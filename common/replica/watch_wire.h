#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/io/frame.h"
#include "common/mvcc/key_range.h"
#include "common/mvcc/watch_source.h"

// Payloads of the watch frames between a proxy and its backends (common/io/frame.h;
// docs/formats.md). Little-endian. Decoders return false for bytes that no encoder makes; views
// point into the payload.
namespace coppice::replica {

// kWatchCreate: proxy -> backend, opens a stream.
struct WatchCreateFrame {
  mvcc::KeyRange range{};
  bool prev_kv = false;
  Revision start = 0;        // 0 = the next one
  std::uint32_t credit = 0;  // bytes of events that may be sent before kCredit grants more
};
std::string EncodeWatchCreate(const WatchCreateFrame& frame);
bool DecodeWatchCreate(std::string_view payload, WatchCreateFrame& out);

// kWatchCreated: the stream gets what follows `at`, or its start.
struct WatchCreatedFrame {
  Revision at = 0;
  Revision compact_revision = 0;
};
std::string EncodeWatchCreated(const WatchCreatedFrame& frame);
bool DecodeWatchCreated(std::string_view payload, WatchCreatedFrame& out);

// kWatchEvents: one revision, or with kFlagMore its first part. Events [first, last) of `events`;
// the two pieces in order are the payload: a head, and the events' bytes as they are.
struct WatchEventsHead {
  std::string head;
  std::string_view bytes;
};
WatchEventsHead EncodeWatchEvents(const mvcc::EncodedEvents& events, std::size_t first,
                                  std::size_t last);
// Appends a part to `out`, whose revision it must have (or which is empty).
bool DecodeWatchEvents(std::string_view payload, mvcc::EncodedEvents& out);

// kWatchCanceled: the backend ends the stream. compact_revision 0: not because of compaction.
struct WatchCanceledFrame {
  Revision compact_revision = 0;
  std::string_view reason{};
};
std::string EncodeWatchCanceled(const WatchCanceledFrame& frame);
bool DecodeWatchCanceled(std::string_view payload, WatchCanceledFrame& out);

// kWatermark, for all created streams of the connection: each was sent every event up to
// `complete`, but for those in `lagging`.
struct WatermarkFrame {
  Revision complete = 0;
  Revision compact_revision = 0;
  std::uint64_t auth_revision = 0;
  std::vector<io::StreamId> lagging{};
};
std::string EncodeWatermark(const WatermarkFrame& frame);
bool DecodeWatermark(std::string_view payload, WatermarkFrame& out);

// kCredit
std::string EncodeCredit(std::uint32_t bytes);
bool DecodeCredit(std::string_view payload, std::uint32_t& bytes);

}  // namespace coppice::replica
