#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/ids.h"
#include "common/mvcc/key_range.h"
#include "common/mvcc/watch_source.h"

namespace coppice::api {

// etcdserverpb.WatchRequest, read by hand: one is parsed per watch and there may be 10,000 in a
// second.
struct WatchCreate {
  mvcc::KeyRange range;
  Revision start = 0;
  std::int64_t watch_id = 0;  // 0: the server chooses
  mvcc::WatchFilters filters;
  bool progress_notify = false;
  bool prev_kv = false;
  bool fragment = false;
};

struct WatchRequest {
  enum class Kind : std::uint8_t { kNone, kCreate, kCancel, kProgress };
  Kind kind = Kind::kNone;  // kNone: nothing that is known; ignored, as etcd does
  WatchCreate create;
  std::int64_t cancel_id = 0;
};

// False if `bytes` are not protobuf.
bool ParseWatchRequest(std::string_view bytes, WatchRequest& out);

}  // namespace coppice::api
