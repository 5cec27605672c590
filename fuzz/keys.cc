// Key ranges, coppice-* metadata, listeners' defaults, addresses and durations: what is accepted
// means one thing, written out and read again it is the same, and errors are one line.

#include <string>
#include <vector>

#include "common/api/duration.h"
#include "common/api/metadata.h"
#include "common/api/urls.h"
#include "common/base/check.h"
#include "common/io/envelope.h"
#include "common/mvcc/key_range.h"
#include "common/rpc/framing.h"
#include "common/rpc/server.h"
#include "fuzz/input.h"
#include "fuzz/target.h"

namespace coppice::fuzz {
namespace {

using mvcc::KeyRange;

// etcd's words for a range, one key at a time (proto/etcd/rpc.proto, RangeRequest.range_end).
bool Names(std::string_view key, std::string_view range_end, std::string_view probe) {
  if (range_end.empty()) return probe == key;
  if (range_end == std::string_view("\0", 1)) return probe >= key;
  return probe >= key && probe < range_end;
}

void CheckRanges(Input& input) {
  const std::string_view key = input.Chunk();
  const std::string_view range_end = input.Chunk();
  const std::string_view other_key = input.Chunk();
  const std::string_view other_end = input.Chunk();
  const KeyRange range = KeyRange::FromWire(key, range_end);
  const KeyRange other = KeyRange::FromWire(other_key, other_end);
  bool both = false;
  const std::string probes[] = {
      std::string(key),       std::string(range_end),  std::string(other_key),
      std::string(other_end), std::string(key) + '\0', std::string(other_key) + '\0',
      std::string(),          std::string(1, '\0'),    std::string(key) + '\xff'};
  for (const std::string& probe : probes) {
    COPPICE_CHECK(range.Contains(probe) == Names(key, range_end, probe));
    COPPICE_CHECK(!range.Empty() || !range.Contains(probe));
    COPPICE_CHECK(!range.SingleKey() || range.Contains(probe) == (probe == range.begin));
    both = both || (range.Contains(probe) && other.Contains(probe));
  }
  // Two ranges that overlap share the larger of their beginnings, which is one of the probes.
  COPPICE_CHECK(range.Overlaps(other) == both);
  COPPICE_CHECK(other.Overlaps(range) == both);
  COPPICE_CHECK(!range.unbounded || range.end.empty());
}

void CheckOneLine(const Status& status) {
  COPPICE_CHECK(!status.ok() && status.code() == StatusCode::kInvalidArgument);
  COPPICE_CHECK(!MessageOf(status).empty());
}

// The invariants of common/base/consistency.h, and that the internal wire keeps it.
void CheckConsistency(const Consistency& c) {
  COPPICE_CHECK(!c.max_staleness || c.mode == ReadMode::kBounded);
  COPPICE_CHECK(c.mode != ReadMode::kBounded || c.max_staleness || c.min_revision != 0);
  COPPICE_CHECK(!c.max_staleness || *c.max_staleness >= 0);
  COPPICE_CHECK(c.min_revision >= 0);
  io::Envelope sent;
  sent.consistency = c;
  std::string bytes;
  io::PutEnvelope(bytes, sent);
  std::string_view rest = bytes;
  io::Envelope received;
  COPPICE_CHECK(io::ReadEnvelope(rest, received) && rest.empty());
  COPPICE_CHECK(received.consistency == c);
}

void CheckMetadata(Input& input) {
  rpc::Metadata metadata;
  const std::uint8_t flags = input.Byte();
  metadata.consistency = input.Chunk();
  metadata.max_staleness = input.Chunk();
  metadata.min_revision = input.Chunk();
  metadata.unknown_coppice = (flags & 1) != 0 ? input.Chunk() : std::string_view();
  metadata.any_coppice = !metadata.consistency.empty() || !metadata.max_staleness.empty() ||
                         !metadata.min_revision.empty() || !metadata.unknown_coppice.empty();
  metadata.has_leader = (flags & 2) != 0;
  Consistency by_listener;
  if (!api::ParseListenerDefault(input.Chunk(), by_listener).ok()) by_listener = {};
  CheckConsistency(by_listener);
  Consistency out;
  const Status status = api::ResolveConsistency(metadata, (flags & 4) != 0, by_listener, out);
  if (!status.ok()) return CheckOneLine(status);
  CheckConsistency(out);
  COPPICE_CHECK(metadata.unknown_coppice.empty());
  COPPICE_CHECK(out.trailers == metadata.any_coppice && out.require_leader == metadata.has_leader);
}

void CheckLine(const Status& status) {
  CheckOneLine(status);
  for (const char c : MessageOf(status)) {
    COPPICE_CHECK(static_cast<unsigned char>(c) >= ' ', "a flag's error is one line");
  }
}

void CheckUrls(Input& input) {
  const std::string_view text = input.Chunk();
  const auto url = api::ParseUrl("--flag", text);
  if (url.ok()) {
    const auto again = api::ParseUrl("--flag", url->ToString());
    COPPICE_CHECK(again.ok() && *again == *url);
  } else {
    CheckLine(url.status());
  }
  const auto urls = api::ParseUrls("--flag", text);
  if (!urls.ok()) CheckLine(urls.status());
  COPPICE_CHECK(!urls.ok() || !urls->empty());
  COPPICE_CHECK(!url.ok() || (urls.ok() && urls->size() == 1 && urls->front() == *url) ||
                text.find(',') != std::string_view::npos);
  const auto named = api::ParseNamedUrls("--flag", text);
  if (!named.ok()) CheckLine(named.status());
  const auto listen = api::ParseListenUrls("--flag", text);
  if (!listen.ok()) return CheckLine(listen.status());
  for (const api::ListenUrl& one : *listen) CheckConsistency(one.default_consistency);
}

void CheckDurations(Input& input) {
  const std::string_view text = input.Chunk();
  Micros duration = 0;
  if (api::ParseDuration(text, duration)) {
    COPPICE_CHECK(duration >= 0);
    Micros again = 0;
    COPPICE_CHECK(api::ParseDuration(api::FormatDuration(duration), again));
    COPPICE_CHECK(again >= duration && again < duration + kMillisecond, "rounded up");
  }
  if (const auto timeout = rpc::ParseTimeout(text); timeout.has_value()) {
    COPPICE_CHECK(*timeout >= 0);
    const auto again = rpc::ParseTimeout(rpc::FormatTimeout(*timeout));
    // What is written has eight digits at most, so that the longest ones are cut.
    COPPICE_CHECK(again.has_value() && (*again >= *timeout || *again == 99'999'999 * kSecond));
  }
  std::string encoded;
  rpc::AppendPercentEncoded(encoded, text);
  COPPICE_CHECK(rpc::PercentDecode(encoded) == text);
  for (const char c : encoded) COPPICE_CHECK(c >= ' ' && c <= '~');
  COPPICE_CHECK(rpc::PercentDecode(text).size() <= text.size());
}

void Run(std::string_view bytes) {
  Input input(bytes);
  switch (input.Byte() % 4) {
    case 0:
      return CheckRanges(input);
    case 1:
      return CheckMetadata(input);
    case 2:
      return CheckUrls(input);
    default:
      return CheckDurations(input);
  }
}

std::string Seed(char kind, const std::vector<std::string>& chunks) {
  std::string out(1, kind);
  if (kind == 1) out.push_back(0);
  for (const std::string& chunk : chunks) PutChunk(out, chunk);
  return out;
}

std::vector<std::string> Seeds() {
  const std::string zero(1, '\0');
  return {
      Seed(0, {"a", "", "a", zero}),
      Seed(0, {"a", "b", "a" + zero, "c"}),
      Seed(0, {zero, zero, "z", "a"}),
      Seed(1, {"bounded", "250ms", "", ""}),
      Seed(1, {"linearizable", "", "cdf818194e3a8c32/42", "consistency=serializable"}),
      Seed(1, {"", "2s", "7", "consistency=bounded&max-staleness=500ms"}),
      Seed(1, {"serializable", "", "", ""}),
      Seed(2, {"http://127.0.0.1:2379"}),
      Seed(2, {"http://[::1]:2379,http://host-1.example:1/"}),
      Seed(2, {"v1=http://127.0.0.1:2380,v2=http://[fe80::1%eth0]:12380"}),
      Seed(2, {"http://0.0.0.0:2379?consistency=bounded&max-staleness=500ms"}),
      Seed(2, {"http://h:1?consistency=a\nb"}),
      Seed(3, {"250ms"}),
      Seed(3, {"99999999H"}),
      Seed(3, {"10u"}),
      Seed(3, {"a %41 message\n\xff"}),
  };
}

}  // namespace

Target KeysTarget() {
  return {"keys", Run, Seeds};
}

}  // namespace coppice::fuzz
