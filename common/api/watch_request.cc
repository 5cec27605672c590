#include "common/api/watch_request.h"

#include "common/base/coding.h"

namespace coppice::api {
namespace {

constexpr std::uint64_t kNoPut = 0;
constexpr std::uint64_t kNoDelete = 1;

void AddFilter(std::uint64_t filter, mvcc::WatchFilters& out) {
  out.no_put = out.no_put || filter == kNoPut;
  out.no_delete = out.no_delete || filter == kNoDelete;
}

// Repeated enums come packed or one by one; both are legal.
bool ReadFilters(WireReader& in, WireType type, mvcc::WatchFilters& out) {
  std::uint64_t filter = 0;
  if (type == WireType::kVarint) {
    if (!in.Varint(filter)) return false;
    AddFilter(filter, out);
    return true;
  }
  std::string_view packed;
  if (!in.Bytes(packed)) return false;
  WireReader reader(packed);
  while (!reader.done()) {
    if (!reader.Varint(filter)) return false;
    AddFilter(filter, out);
  }
  return true;
}

struct CreateKeys {
  std::string_view key;
  std::string_view range_end;
};

bool ReadCreateInt(WireReader& in, std::uint32_t field, WatchCreate& out) {
  std::uint64_t value = 0;
  if (!in.Varint(value)) return false;
  switch (field) {
    case 3:
      out.start = static_cast<Revision>(value);
      break;
    case 4:
      out.progress_notify = value != 0;
      break;
    case 6:
      out.prev_kv = value != 0;
      break;
    case 7:
      out.watch_id = static_cast<std::int64_t>(value);
      break;
    case 8:
      out.fragment = value != 0;
      break;
    default:
      break;
  }
  return true;
}

bool ReadCreateField(WireReader& in, CreateKeys& keys, WatchCreate& out) {
  std::uint32_t field = 0;
  WireType type{};
  if (!in.Tag(field, type)) return false;
  if (field == 5 && (type == WireType::kVarint || type == WireType::kBytes)) {
    return ReadFilters(in, type, out.filters);
  }
  if (type == WireType::kVarint) return ReadCreateInt(in, field, out);
  if (type == WireType::kBytes && field == 1) return in.Bytes(keys.key);
  if (type == WireType::kBytes && field == 2) return in.Bytes(keys.range_end);
  return in.Skip(type);
}

bool ParseCreate(std::string_view bytes, WatchCreate& out) {
  CreateKeys keys;
  WireReader in(bytes);
  while (!in.done()) {
    if (!ReadCreateField(in, keys, out)) return false;
  }
  // The smallest key stands for an empty one, as in etcd.
  if (keys.key.empty()) keys.key = std::string_view("\0", 1);
  out.range = mvcc::KeyRange::FromWire(keys.key, keys.range_end);
  return true;
}

bool ParseCancel(std::string_view bytes, std::int64_t& id) {
  WireReader in(bytes);
  id = 0;
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    std::uint64_t value = 0;
    if (!in.Tag(field, type)) return false;
    if (field == 1 && type == WireType::kVarint) {
      if (!in.Varint(value)) return false;
      id = static_cast<std::int64_t>(value);
    } else if (!in.Skip(type)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool ParseWatchRequest(std::string_view bytes, WatchRequest& out) {
  out = {};
  WireReader in(bytes);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    if (!in.Tag(field, type)) return false;
    if (type != WireType::kBytes || field > 3) {
      if (!in.Skip(type)) return false;
      continue;
    }
    std::string_view message;
    if (!in.Bytes(message)) return false;
    out.kind = static_cast<WatchRequest::Kind>(field);
    if (out.kind == WatchRequest::Kind::kCreate && !ParseCreate(message, out.create)) return false;
    if (out.kind == WatchRequest::Kind::kCancel && !ParseCancel(message, out.cancel_id)) {
      return false;
    }
  }
  return true;
}

}  // namespace coppice::api
