#include "common/replica/watch_wire.h"

#include "common/base/coding.h"

namespace coppice::replica {
namespace {

constexpr std::uint8_t kPrevKv = 1;
constexpr std::uint8_t kUnbounded = 2;
constexpr std::uint8_t kKnownFlags = kPrevKv | kUnbounded;

void PutString(std::string& out, std::string_view bytes) {
  PutLe(out, static_cast<std::uint32_t>(bytes.size()));
  out.append(bytes);
}

bool ReadString(WireReader& in, std::string& out) {
  std::uint32_t size = 0;
  std::string_view bytes;
  if (!in.Fixed(size) || !in.Raw(size, bytes)) return false;
  out = bytes;
  return true;
}

}  // namespace

std::string EncodeWatchCreate(const WatchCreateFrame& frame) {
  std::string out;
  PutLe(out, frame.start);
  PutLe(out, frame.credit);
  out.push_back(
      static_cast<char>((frame.prev_kv ? kPrevKv : 0) | (frame.range.unbounded ? kUnbounded : 0)));
  PutString(out, frame.range.begin);
  PutString(out, frame.range.end);
  return out;
}

bool DecodeWatchCreate(std::string_view payload, WatchCreateFrame& out) {
  WireReader in(payload);
  std::uint8_t flags = 0;
  if (!in.Fixed(out.start) || !in.Fixed(out.credit) || !in.Fixed(flags)) return false;
  if (!ReadString(in, out.range.begin) || !ReadString(in, out.range.end)) return false;
  out.prev_kv = (flags & kPrevKv) != 0;
  out.range.unbounded = (flags & kUnbounded) != 0;
  return in.done() && (flags & ~kKnownFlags) == 0 && out.start >= 0 && !out.range.Empty() &&
         (!out.range.unbounded || out.range.end.empty());
}

std::string EncodeWatchCreated(const WatchCreatedFrame& frame) {
  std::string out;
  PutLe(out, frame.at);
  PutLe(out, frame.compact_revision);
  return out;
}

bool DecodeWatchCreated(std::string_view payload, WatchCreatedFrame& out) {
  WireReader in(payload);
  return in.Fixed(out.at) && in.Fixed(out.compact_revision) && in.done();
}

WatchEventsHead EncodeWatchEvents(const mvcc::EncodedEvents& events, std::size_t first,
                                  std::size_t last) {
  const std::uint32_t base = events.begin(first);
  WatchEventsHead out;
  PutLe(out.head, events.revision);
  PutLe(out.head, static_cast<std::uint32_t>(last - first));
  for (std::size_t i = first; i < last; ++i) PutLe(out.head, events.ends[i] - base);
  out.bytes = std::string_view(events.bytes).substr(base, events.end(last - 1) - base);
  return out;
}

bool DecodeWatchEvents(std::string_view payload, mvcc::EncodedEvents& out) {
  constexpr std::uint32_t kMark = mvcc::EncodedEvents::kDeleteMark;
  WireReader in(payload);
  Revision revision = 0;
  std::uint32_t count = 0;
  if (!in.Fixed(revision) || !in.Fixed(count) || count == 0) return false;
  if (count > in.left() / sizeof(std::uint32_t)) return false;
  if (!out.ends.empty() && out.revision != revision) return false;
  out.revision = revision;
  const auto base = static_cast<std::uint32_t>(out.bytes.size());
  std::uint32_t before = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t end = 0;
    if (!in.Fixed(end) || (end & ~kMark) <= before) return false;
    before = end & ~kMark;
    out.ends.push_back(end + base);
  }
  std::string_view bytes;
  if (before != in.left() || !in.Raw(before, bytes)) return false;
  out.bytes.append(bytes);
  return true;
}

std::string EncodeWatchCanceled(const WatchCanceledFrame& frame) {
  std::string out;
  PutLe(out, frame.compact_revision);
  out.append(frame.reason);
  return out;
}

bool DecodeWatchCanceled(std::string_view payload, WatchCanceledFrame& out) {
  WireReader in(payload);
  return in.Fixed(out.compact_revision) && in.Raw(in.left(), out.reason);
}

std::string EncodeWatermark(const WatermarkFrame& frame) {
  std::string out;
  PutLe(out, frame.complete);
  PutLe(out, frame.compact_revision);
  PutLe(out, frame.auth_revision);
  for (const io::StreamId& stream : frame.lagging) {
    PutLe(out, stream.slot);
    PutLe(out, stream.generation);
  }
  return out;
}

bool DecodeWatermark(std::string_view payload, WatermarkFrame& out) {
  WireReader in(payload);
  if (!in.Fixed(out.complete) || !in.Fixed(out.compact_revision) || !in.Fixed(out.auth_revision)) {
    return false;
  }
  out.lagging.clear();
  while (!in.done()) {
    io::StreamId stream;
    if (!in.Fixed(stream.slot) || !in.Fixed(stream.generation)) return false;
    out.lagging.push_back(stream);
  }
  return true;
}

std::string EncodeCredit(std::uint32_t bytes) {
  std::string out;
  PutLe(out, bytes);
  return out;
}

bool DecodeCredit(std::string_view payload, std::uint32_t& bytes) {
  WireReader in(payload);
  return in.Fixed(bytes) && in.done();
}

}  // namespace coppice::replica
