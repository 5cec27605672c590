#include "common/io/envelope.h"

#include <gtest/gtest.h>

#include "common/base/coding.h"
#include "common/base/rng.h"

namespace coppice::io {
namespace {

Envelope Full() {
  Envelope envelope;
  envelope.principal = "root";
  envelope.authenticated_by = AuthenticatedBy::kToken;
  envelope.token = "abc.1";
  envelope.deadline_left = 7 * kSecond;
  envelope.consistency.mode = ReadMode::kBounded;
  envelope.consistency.max_staleness = 0;
  envelope.consistency.min_revision = 99;
  envelope.consistency.session_cluster = 0xfeedULL << 40;
  envelope.consistency.trailers = true;
  envelope.consistency.require_leader = true;
  envelope.attempt = 5;
  envelope.hops = 2;
  envelope.trace_high = 1;
  envelope.span = 3;
  return envelope;
}

void ExpectEqual(const Envelope& a, const Envelope& b) {
  EXPECT_EQ(a.principal, b.principal);
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.authenticated_by, b.authenticated_by);
  EXPECT_EQ(a.deadline_left, b.deadline_left);
  EXPECT_EQ(a.consistency, b.consistency);
  EXPECT_EQ(a.attempt, b.attempt);
  EXPECT_EQ(a.hops, b.hops);
  EXPECT_EQ(a.trace_high, b.trace_high);
  EXPECT_EQ(a.trace_low, b.trace_low);
  EXPECT_EQ(a.span, b.span);
}

TEST(Envelope, RoundTripsAndLeavesTheRequest) {
  for (const Envelope& envelope : {Full(), Envelope()}) {
    std::string bytes;
    PutEnvelope(bytes, envelope);
    bytes += "request";
    std::string_view data = bytes;
    Envelope read;
    ASSERT_TRUE(ReadEnvelope(data, read));
    EXPECT_EQ(data, "request");
    ExpectEqual(read, envelope);
  }
}

TEST(Envelope, APlainReadCostsSixBytes) {
  std::string bytes;
  PutEnvelope(bytes, Envelope());
  EXPECT_EQ(bytes.size(), 6U);
}

TEST(Envelope, MalformedBytesAreRefusedOrReadButNeverOverrun) {
  std::string good;
  PutEnvelope(good, Full());
  Rng rng(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good.substr(0, rng.Below(good.size() + 1));
    if (!bad.empty()) bad[rng.Below(bad.size())] = static_cast<char>(rng.Next());
    std::string_view data = bad;
    Envelope read;
    if (ReadEnvelope(data, read)) {
      EXPECT_LE(data.size(), bad.size());
    }
  }
}

// As numbers they would be negative: a deadline long over, a revision before the first.
TEST(Envelope, NumbersBeyondTheirTypeAreMalformed) {
  constexpr std::uint64_t kTooLarge = 1ULL << 63;
  for (int wrong = 0; wrong < 3; ++wrong) {
    std::string bytes("\0\0\3\1\0\0", 6);  // a deadline and bounds; bounded
    PutVarint(bytes, wrong == 0 ? kTooLarge : 5);
    PutVarint(bytes, wrong == 1 ? kTooLarge + 1 : 5);
    PutVarint(bytes, wrong == 2 ? kTooLarge : 5);
    PutLe<std::uint64_t>(bytes, 0);
    bytes[0] = static_cast<char>(bytes.size() - 2);
    std::string_view rest = bytes;
    Envelope read;
    EXPECT_FALSE(ReadEnvelope(rest, read)) << wrong;
  }
}

TEST(ReplyTail, RoundTrips) {
  std::string bytes;
  PutReplyTail(bytes, {0x1234567890abcdefULL, 96, 2, 0x0102030405060708});
  ASSERT_EQ(bytes.size(), kReplyTailSize);
  EXPECT_EQ(bytes, std::string("\xef\xcd\xab\x90\x78\x56\x34\x12\x60\0\0\0\2\0\0\0"
                               "\x8\x7\x6\x5\x4\x3\x2\x1",
                               24));
  const ReplyTail tail = ReadReplyTail(bytes);
  EXPECT_EQ(tail.served_by, 0x1234567890abcdefULL);
  EXPECT_EQ(tail.staleness_ms_x8, 96U);
  EXPECT_EQ(tail.mode, 2);
  EXPECT_EQ(tail.compact_revision, 0x0102030405060708);
}

}  // namespace
}  // namespace coppice::io
