#include "common/api/watch_request.h"

#include "common/api/wire_scan.h"
#include "common/base/coding.h"

namespace coppice::api {
namespace {

// A message in the request is one deeper than the request.
constexpr int kInnerDepth = FieldScanner::kDepthMax - 1;

constexpr std::uint32_t kNoPut = 0;
constexpr std::uint32_t kNoDelete = 1;

// An enum is an int32: of a longer varint the low 32 bits count.
void AddFilter(std::uint64_t number, mvcc::WatchFilters& out) {
  const auto filter = static_cast<std::uint32_t>(number);
  out.no_put = out.no_put || filter == kNoPut;
  out.no_delete = out.no_delete || filter == kNoDelete;
}

bool ReadPackedFilters(std::string_view packed, mvcc::WatchFilters& out) {
  WireReader reader(packed);
  while (!reader.done()) {
    std::uint64_t filter = 0;
    if (!reader.Varint(filter)) return false;
    AddFilter(filter, out);
  }
  return true;
}

struct CreateKeys {
  std::string_view key;
  std::string_view range_end;
};

// What is not known is skipped; false at malformed filters.
bool ReadCreateField(const FieldScanner& field, CreateKeys& keys, WatchCreate& out) {
  switch (field.tag()) {
    case WireTag(1, WireType::kBytes):
      keys.key = field.bytes();
      break;
    case WireTag(2, WireType::kBytes):
      keys.range_end = field.bytes();
      break;
    case WireTag(3, WireType::kVarint):
      out.start = static_cast<Revision>(field.number());
      break;
    case WireTag(4, WireType::kVarint):
      out.progress_notify = field.number() != 0;
      break;
    case WireTag(5, WireType::kVarint):  // repeated enums come one by one or packed
      AddFilter(field.number(), out.filters);
      break;
    case WireTag(5, WireType::kBytes):
      return ReadPackedFilters(field.bytes(), out.filters);
    case WireTag(6, WireType::kVarint):
      out.prev_kv = field.number() != 0;
      break;
    case WireTag(7, WireType::kVarint):
      out.watch_id = static_cast<std::int64_t>(field.number());
      break;
    case WireTag(8, WireType::kVarint):
      out.fragment = field.number() != 0;
      break;
    default:
      break;
  }
  return true;
}

bool ReadCreate(std::string_view bytes, CreateKeys& keys, WatchCreate& out) {
  FieldScanner fields(bytes, kInnerDepth);
  while (fields.Next()) {
    if (!ReadCreateField(fields, keys, out)) return false;
  }
  return !fields.failed();
}

bool ReadCancel(std::string_view bytes, std::int64_t& id) {
  FieldScanner fields(bytes, kInnerDepth);
  while (fields.Next()) {
    if (fields.tag() == WireTag(1, WireType::kVarint)) {
      id = static_cast<std::int64_t>(fields.number());
    }
  }
  return !fields.failed();
}

bool ReadProgress(std::string_view bytes) {
  FieldScanner fields(bytes, kInnerDepth);
  while (fields.Next()) {
  }
  return !fields.failed();
}

// One member of the union: it takes the place of another kind, and is merged into one of its own.
bool ReadMember(WatchRequest::Kind kind, std::string_view bytes, CreateKeys& keys,
                WatchRequest& out) {
  if (kind != out.kind) {
    out = {};
    out.kind = kind;
    keys = {};
  }
  switch (kind) {
    case WatchRequest::Kind::kCreate:
      return ReadCreate(bytes, keys, out.create);
    case WatchRequest::Kind::kCancel:
      return ReadCancel(bytes, out.cancel_id);
    default:
      return ReadProgress(bytes);
  }
}

}  // namespace

bool ParseWatchRequest(std::string_view bytes, WatchRequest& out) {
  out = {};
  CreateKeys keys;
  FieldScanner fields(bytes);
  while (fields.Next()) {
    switch (fields.tag()) {
      case WireTag(1, WireType::kBytes):
      case WireTag(2, WireType::kBytes):
      case WireTag(3, WireType::kBytes): {
        const auto kind = static_cast<WatchRequest::Kind>(fields.tag() >> 3);
        if (!ReadMember(kind, fields.bytes(), keys, out)) return false;
        break;
      }
      default:
        break;
    }
  }
  if (fields.failed()) return false;
  if (out.kind != WatchRequest::Kind::kCreate) return true;
  // The smallest key stands for an empty one, as in etcd.
  if (keys.key.empty()) keys.key = std::string_view("\0", 1);
  out.create.range = mvcc::KeyRange::FromWire(keys.key, keys.range_end);
  return true;
}

}  // namespace coppice::api
