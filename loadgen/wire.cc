#include "loadgen/wire.h"

#include "common/base/coding.h"

namespace coppice::loadgen {
namespace {

constexpr std::uint32_t kKvsField = 2;

// Calls `field(number, varint, bytes)` for each field; one of the two has the value.
template <typename Field>
bool ForEach(std::string_view message, Field&& field) {
  WireReader reader(message);
  while (!reader.done()) {
    std::uint32_t number = 0;
    WireType type{};
    std::uint64_t varint = 0;
    std::string_view bytes;
    if (!reader.Tag(number, type)) return false;
    if (type == WireType::kVarint) {
      if (!reader.Varint(varint)) return false;
    } else if (type == WireType::kBytes) {
      if (!reader.Bytes(bytes)) return false;
    } else if (!reader.Skip(type)) {
      return false;
    }
    if (!field(number, varint, bytes)) return false;
  }
  return !reader.failed();
}

bool ScanHeader(std::string_view bytes, Revision& revision) {
  return ForEach(bytes, [&](std::uint32_t number, std::uint64_t varint, std::string_view) {
    if (number == 3) revision = static_cast<Revision>(varint);
    return true;
  });
}

bool ScanKeyValue(std::string_view bytes, KeyValueView& kv) {
  kv = KeyValueView();
  return ForEach(bytes, [&](std::uint32_t number, std::uint64_t varint, std::string_view value) {
    if (number == 1) kv.key = value;
    if (number == 3) kv.mod_revision = static_cast<Revision>(varint);
    if (number == 4) kv.version = static_cast<std::int64_t>(varint);
    if (number == 5) kv.value = value;
    return true;
  });
}

}  // namespace

const std::string_view kPutPath = "/etcdserverpb.KV/Put";
const std::string_view kRangePath = "/etcdserverpb.KV/Range";
const std::string_view kWatchPath = "/etcdserverpb.Watch/Watch";

void EncodePut(std::string& out, std::string_view key, std::string_view value) {
  out.clear();
  PutBytesField(out, 1, key);
  PutBytesField(out, 2, value);
}

void EncodeGet(std::string& out, std::string_view key, bool serializable) {
  out.clear();
  PutBytesField(out, 1, key);
  PutIntField(out, 7, serializable ? 1 : 0);
}

void EncodeWatchCreate(std::string& out, const WatchCreate& create) {
  std::string body;
  PutBytesField(body, 1, create.key);
  PutBytesField(body, 2, create.range_end);
  PutIntField(body, 3, static_cast<std::uint64_t>(create.start_revision));
  PutIntField(body, 7, static_cast<std::uint64_t>(create.watch_id));
  out.clear();
  PutBytesField(out, 1, body);
}

bool ScanPutReply(std::string_view message, Revision& revision) {
  revision = 0;
  return ForEach(message, [&](std::uint32_t number, std::uint64_t, std::string_view bytes) {
    return number != 1 || ScanHeader(bytes, revision);
  });
}

bool ScanRangeReply(std::string_view message, RangeReply& reply) {
  reply = RangeReply();
  return ForEach(message, [&](std::uint32_t number, std::uint64_t, std::string_view bytes) {
    if (number == 1) return ScanHeader(bytes, reply.revision);
    if (number == kKvsField) {
      ++reply.kvs;
      return ScanKeyValue(bytes, reply.kv);
    }
    return true;
  });
}

bool ScanWatchReply(std::string_view message, WatchReply& reply) {
  reply = WatchReply();
  return ForEach(message, [&](std::uint32_t number, std::uint64_t varint, std::string_view bytes) {
    switch (number) {
      case 1:
        return ScanHeader(bytes, reply.revision);
      case 2:
        reply.watch_id = static_cast<std::int64_t>(varint);
        return true;
      case 3:
        reply.created = varint != 0;
        return true;
      case 4:
        reply.canceled = varint != 0;
        return true;
      case 5:
        reply.compact_revision = static_cast<Revision>(varint);
        return true;
      case 6:
        reply.cancel_reason = bytes;
        return true;
      case 11:
        if (reply.events.empty()) reply.events = message;
        return true;
      default:
        return true;
    }
  });
}

bool NextEvent(std::string_view& rest, EventView& event) {
  WireReader reader(rest);
  while (!reader.done()) {
    std::uint32_t number = 0;
    WireType type{};
    std::string_view bytes;
    if (!reader.Tag(number, type)) return false;
    if (number != 11 || type != WireType::kBytes) {
      if (!reader.Skip(type)) return false;
      continue;
    }
    if (!reader.Bytes(bytes)) return false;
    rest.remove_prefix(rest.size() - reader.left());
    event = EventView();
    return ForEach(bytes, [&](std::uint32_t field, std::uint64_t varint, std::string_view value) {
      if (field == 1) event.is_delete = varint == 1;
      return field != 2 || ScanKeyValue(value, event.kv);
    });
  }
  rest = {};
  return false;
}

}  // namespace coppice::loadgen
