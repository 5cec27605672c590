#include "common/replica/watch_events.h"

#include <string>
#include <utility>

#include "common/base/coding.h"

namespace coppice::replica {
namespace {

// Field numbers of etcd's rpc.proto and kv.proto.
constexpr char kEventsTag = static_cast<char>(WireTag(11, WireType::kBytes));
constexpr char kTypeTag = static_cast<char>(WireTag(1, WireType::kVarint));
constexpr char kKvTag = static_cast<char>(WireTag(2, WireType::kBytes));
constexpr char kPrevKvTag = static_cast<char>(WireTag(3, WireType::kBytes));
constexpr char kDelete = 1;

std::size_t FieldSize(std::string_view bytes) {
  return 1 + static_cast<std::size_t>(VarintSize(bytes.size())) + bytes.size();
}

void PutField(std::string& out, char tag, std::string_view bytes) {
  out.push_back(tag);
  PutVarint(out, bytes.size());
  out.append(bytes);
}

}  // namespace

void AppendEvent(mvcc::EncodedEvents& out, bool is_delete, std::string_view kv,
                 std::string_view prev_kv) {
  const std::size_t size =
      (is_delete ? 2 : 0) + FieldSize(kv) + (prev_kv.empty() ? 0 : FieldSize(prev_kv));
  std::string& bytes = out.bytes;
  if (bytes.empty()) bytes.reserve(size + kVarintSizeMax);
  bytes.push_back(kEventsTag);
  PutVarint(bytes, size);
  if (is_delete) {
    bytes.push_back(kTypeTag);
    bytes.push_back(kDelete);
  }
  PutField(bytes, kKvTag, kv);
  if (!prev_kv.empty()) PutField(bytes, kPrevKvTag, prev_kv);
  out.ends.push_back(static_cast<std::uint32_t>(bytes.size()) |
                     (is_delete ? mvcc::EncodedEvents::kDeleteMark : 0));
}

mvcc::EncodedEventsPtr Filter(const mvcc::EncodedEventsPtr& events, mvcc::WatchFilters filters) {
  const auto wanted = [&](std::size_t i) {
    return events->is_delete(i) ? !filters.no_delete : !filters.no_put;
  };
  std::size_t count = 0;
  for (std::size_t i = 0; i < events->size(); ++i) count += wanted(i) ? 1 : 0;
  if (count == 0) return nullptr;
  if (count == events->size()) return events;
  auto out = std::make_shared<mvcc::EncodedEvents>();
  out->revision = events->revision;
  out->ends.reserve(count);
  for (std::size_t i = 0; i < events->size(); ++i) {
    if (!wanted(i)) continue;
    out->bytes.append(events->bytes, events->begin(i), events->end(i) - events->begin(i));
    out->ends.push_back(static_cast<std::uint32_t>(out->bytes.size()) |
                        (events->is_delete(i) ? mvcc::EncodedEvents::kDeleteMark : 0));
  }
  return out;
}

}  // namespace coppice::replica
