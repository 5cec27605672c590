#include "common/io/envelope.h"

#include "common/base/coding.h"

namespace coppice::io {
namespace {

// Layout: size u16 of what follows, flags u8, mode u8, hops u8, authenticated_by u8, then the
// fields that the flags name, in this order.
enum Flag : std::uint8_t {
  kHasDeadline = 1,
  kHasBounds = 2,
  kTrailers = 4,
  kRequireLeader = 8,
  kHasAttempt = 16,
  kHasTrace = 32,
  kHasPrincipal = 64,  // principal and token
};
constexpr std::size_t kFixedSize = 4;
constexpr std::uint64_t kNumberMax = INT64_MAX;  // of what is signed here

void PutShort(std::string& out, std::string_view text) {
  PutVarint(out, text.size());
  out.append(text);
}

std::uint8_t FlagsOf(const Envelope& envelope) {
  const Consistency& want = envelope.consistency;
  std::uint8_t flags = 0;
  if (envelope.deadline_left > 0) flags |= kHasDeadline;
  if (want.max_staleness || want.min_revision != 0 || want.session_cluster != 0)
    flags |= kHasBounds;
  if (want.trailers) flags |= kTrailers;
  if (want.require_leader) flags |= kRequireLeader;
  if (envelope.attempt != 0) flags |= kHasAttempt;
  if ((envelope.trace_high | envelope.trace_low | envelope.span) != 0) flags |= kHasTrace;
  if (!envelope.principal.empty() || !envelope.token.empty()) flags |= kHasPrincipal;
  return flags;
}

bool ReadBounds(WireReader& reader, Consistency& want) {
  std::uint64_t staleness = 0;
  std::uint64_t revision = 0;
  if (!reader.Varint(staleness) || !reader.Varint(revision) ||
      !reader.Fixed(want.session_cluster) || staleness > kNumberMax || revision > kNumberMax) {
    return false;
  }
  if (staleness != 0) want.max_staleness = static_cast<Micros>(staleness - 1);
  want.min_revision = static_cast<Revision>(revision);
  return true;
}

}  // namespace

void PutEnvelope(std::string& out, const Envelope& envelope) {
  const Consistency& want = envelope.consistency;
  const std::uint8_t flags = FlagsOf(envelope);
  const std::size_t start = out.size();
  PutLe<std::uint16_t>(out, 0);
  PutLe<std::uint8_t>(out, flags);
  PutLe<std::uint8_t>(out, static_cast<std::uint8_t>(want.mode));
  PutLe<std::uint8_t>(out, envelope.hops);
  PutLe<std::uint8_t>(out, static_cast<std::uint8_t>(envelope.authenticated_by));
  if ((flags & kHasDeadline) != 0)
    PutVarint(out, static_cast<std::uint64_t>(envelope.deadline_left));
  if ((flags & kHasBounds) != 0) {
    PutVarint(out, want.max_staleness ? static_cast<std::uint64_t>(*want.max_staleness) + 1 : 0);
    PutVarint(out, static_cast<std::uint64_t>(want.min_revision));
    PutLe(out, want.session_cluster);
  }
  if ((flags & kHasAttempt) != 0) PutLe(out, envelope.attempt);
  if ((flags & kHasTrace) != 0) {
    PutLe(out, envelope.trace_high);
    PutLe(out, envelope.trace_low);
    PutLe(out, envelope.span);
  }
  if ((flags & kHasPrincipal) != 0) {
    PutShort(out, envelope.principal);
    PutShort(out, envelope.token);
  }
  SetLe(out.data() + start, static_cast<std::uint16_t>(out.size() - start - 2));
}

bool ReadEnvelope(std::string_view& data, Envelope& envelope) {
  if (data.size() < 2) return false;
  const std::size_t size = GetLe<std::uint16_t>(data.data());
  if (size < kFixedSize || data.size() - 2 < size) return false;
  const char* p = data.data() + 2;
  const auto flags = static_cast<std::uint8_t>(p[0]);
  envelope = Envelope();
  if (static_cast<std::uint8_t>(p[1]) > static_cast<std::uint8_t>(ReadMode::kSerializable))
    return false;
  envelope.consistency.mode = static_cast<ReadMode>(p[1]);
  envelope.consistency.trailers = (flags & kTrailers) != 0;
  envelope.consistency.require_leader = (flags & kRequireLeader) != 0;
  envelope.hops = static_cast<std::uint8_t>(p[2]);
  envelope.authenticated_by = static_cast<AuthenticatedBy>(p[3]);
  WireReader reader(data.substr(2 + kFixedSize, size - kFixedSize));
  std::uint64_t deadline = 0;
  if ((flags & kHasDeadline) != 0 && (!reader.Varint(deadline) || deadline > kNumberMax)) {
    return false;
  }
  envelope.deadline_left = static_cast<Micros>(deadline);
  if ((flags & kHasBounds) != 0 && !ReadBounds(reader, envelope.consistency)) return false;
  if ((flags & kHasAttempt) != 0 && !reader.Fixed(envelope.attempt)) return false;
  if ((flags & kHasTrace) != 0 &&
      !(reader.Fixed(envelope.trace_high) && reader.Fixed(envelope.trace_low) &&
        reader.Fixed(envelope.span))) {
    return false;
  }
  if ((flags & kHasPrincipal) != 0 &&
      !(reader.Bytes(envelope.principal) && reader.Bytes(envelope.token))) {
    return false;
  }
  data.remove_prefix(2 + size);
  return true;  // what a newer sender put behind the known fields is skipped
}

void PutReplyTail(std::string& out, const ReplyTail& tail) {
  char bytes[kReplyTailSize] = {};
  SetLe(bytes, tail.served_by);
  SetLe(bytes + 8, tail.staleness_ms_x8);
  SetLe(bytes + 12, tail.mode);
  SetLe(bytes + 16, tail.compact_revision);
  out.append(bytes, kReplyTailSize);
}

ReplyTail ReadReplyTail(std::string_view last24) {
  ReplyTail tail;
  tail.served_by = GetLe<std::uint64_t>(last24.data());
  tail.staleness_ms_x8 = GetLe<std::uint32_t>(last24.data() + 8);
  tail.mode = static_cast<std::uint8_t>(last24[12]);
  tail.compact_revision = GetLe<Revision>(last24.data() + 16);
  return tail;
}

}  // namespace coppice::io
