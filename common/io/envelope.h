#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice::io {

enum class AuthenticatedBy : std::uint8_t { kNone = 0, kToken = 1, kCertificate = 2 };

// What goes in front of the client's bytes in a forwarded request (frame kRequest).
// Without mutual TLS or a proof in Hello, `principal` is ignored by the receiver.
struct Envelope {
  std::string_view principal;
  AuthenticatedBy authenticated_by = AuthenticatedBy::kNone;
  std::string_view token;
  Micros deadline_left = 0;  // 0 = none
  Consistency consistency;
  std::uint64_t attempt = 0;
  std::uint8_t hops = 0;
  std::uint64_t trace_high = 0;  // W3 trace context; 0 = none
  std::uint64_t trace_low = 0;
  std::uint64_t span = 0;
};

void PutEnvelope(std::string& out, const Envelope& envelope);
// Reads the envelope at the front of `data` and removes it, leaving the request's bytes; the views
// point into `data`. False if malformed.
bool ReadEnvelope(std::string_view& data, Envelope& envelope);

// At the end of each successful kReply's last frame: who served it, and of a read from what view.
struct ReplyTail {
  std::uint64_t served_by = 0;
  std::uint32_t staleness_ms_x8 = UINT32_MAX;  // eighths of a millisecond; UINT32_MAX = not a read
  std::uint8_t mode = 0;                       // ReadMode
  Revision compact_revision = 0;               // 0 = not a read, or never compacted
};
constexpr std::size_t kReplyTailSize = 24;
void PutReplyTail(std::string& out, const ReplyTail& tail);
ReplyTail ReadReplyTail(std::string_view last24);

}  // namespace coppice::io
