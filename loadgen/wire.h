#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace coppice::loadgen {

// etcd's KV and Watch messages, written and scanned by hand: field numbers of etcd's rpc.proto. A
// generated parser would cost a load generator more than the server pays for the request.

extern const std::string_view kPutPath;
extern const std::string_view kRangePath;
extern const std::string_view kWatchPath;

void EncodePut(std::string& out, std::string_view key, std::string_view value);
void EncodeGet(std::string& out, std::string_view key, bool serializable);

struct WatchCreate {
  std::string_view key;
  std::string_view range_end;  // empty: one key
  Revision start_revision = 0;
  std::int64_t watch_id = 0;  // chosen by the client; not 0
};
void EncodeWatchCreate(std::string& out, const WatchCreate& create);

// A view into the message it was scanned from.
struct KeyValueView {
  std::string_view key;
  std::string_view value;
  Revision mod_revision = 0;
  std::int64_t version = 0;
};
struct RangeReply {
  Revision revision = 0;
  int kvs = 0;
  KeyValueView kv;  // the last of them
};
// False: malformed.
bool ScanPutReply(std::string_view message, Revision& revision);
bool ScanRangeReply(std::string_view message, RangeReply& reply);

struct WatchReply {
  Revision revision = 0;
  std::int64_t watch_id = 0;
  bool created = false;
  bool canceled = false;
  Revision compact_revision = 0;
  std::string_view cancel_reason;
  std::string_view events;  // where the first event field stands, for NextEvent
};
bool ScanWatchReply(std::string_view message, WatchReply& reply);

struct EventView {
  bool is_delete = false;
  KeyValueView kv;
};
// Takes the next event off `rest` (at first WatchReply::events). False: none left, or malformed
// (then `rest` is not empty).
bool NextEvent(std::string_view& rest, EventView& event);

}  // namespace coppice::loadgen
