#include "common/rpc/framing.h"

#include <gtest/gtest.h>

#include <vector>

namespace coppice::rpc {
namespace {

std::string Framed(std::string_view message) {
  std::string framed(kPrefixSize, '\0');
  WritePrefix(framed.data(), static_cast<std::uint32_t>(message.size()));
  return framed.append(message);
}

TEST(MessageReader, CutsMessagesWhereverTheBytesAreSplit) {
  const std::string bytes = Framed("hello") + Framed("") + Framed("a longer message");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    BufferPool pool;
    MessageReader reader;
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      std::string_view data = std::string_view(bytes).substr(at, step);
      std::string_view message;
      while (!data.empty() &&
             reader.Next(data, 100, false, pool, message) == MessageReader::Result::kMessage) {
        messages.emplace_back(message);
        reader.Release(pool);
      }
    }
    EXPECT_EQ(messages, (std::vector<std::string>{"hello", "", "a longer message"})) << step;
    EXPECT_FALSE(reader.partial());
  }
}

TEST(MessageReader, RefusesALengthOverTheLimitBeforeItsBytes) {
  BufferPool pool;
  MessageReader reader;
  const std::string framed = Framed(std::string(101, 'x')).substr(0, kPrefixSize);
  std::string_view data = framed;
  std::string_view message;
  EXPECT_EQ(reader.Next(data, 100, false, pool, message), MessageReader::Result::kTooLarge);
}

TEST(MessageReader, RefusesCompressedMessages) {
  BufferPool pool;
  MessageReader reader;
  std::string framed = Framed("x");
  framed[0] = 1;
  std::string_view data = framed;
  std::string_view message;
  EXPECT_EQ(reader.Next(data, 100, false, pool, message), MessageReader::Result::kCompressed);
}

TEST(Timeout, ParsesEveryUnitAndRefusesTheRest) {
  EXPECT_EQ(ParseTimeout("2H"), 7200 * kSecond);
  EXPECT_EQ(ParseTimeout("3M"), 180 * kSecond);
  EXPECT_EQ(ParseTimeout("4S"), 4 * kSecond);
  EXPECT_EQ(ParseTimeout("5m"), 5 * kMillisecond);
  EXPECT_EQ(ParseTimeout("6u"), 6);
  EXPECT_EQ(ParseTimeout("7n"), 1);
  EXPECT_EQ(ParseTimeout("99999999H"), 99'999'999LL * 3600 * kSecond);
  for (const char* bad : {"", "S", "1", "1s", "-1S", "123456789S", "1.5S", " 1S"}) {
    EXPECT_EQ(ParseTimeout(bad), std::nullopt) << bad;
  }
}

TEST(Timeout, FormatsWhatItParses) {
  for (const Micros timeout : {Micros{1}, Micros{99'999'999}, 100 * kSecond, 7200 * kSecond}) {
    EXPECT_EQ(ParseTimeout(FormatTimeout(timeout)), timeout);
  }
  EXPECT_GE(*ParseTimeout(FormatTimeout(400'000 * kSecond + 1)), 400'000 * kSecond + 1);
}

TEST(PercentEncoding, RoundTripsAnyBytes) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  std::string encoded;
  AppendPercentEncoded(encoded, all);
  for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
  EXPECT_EQ(PercentDecode(encoded), all);
  EXPECT_EQ(PercentDecode("50% %4x %41%"), "50% %4x A%");
}

TEST(StatusCodes, UnknownNumbersAreUnknown) {
  EXPECT_EQ(ParseStatusCode("0"), StatusCode::kOk);
  EXPECT_EQ(ParseStatusCode("16"), StatusCode::kUnauthenticated);
  for (const char* bad : {"", "17", "-1", "1x"}) {
    EXPECT_EQ(ParseStatusCode(bad), StatusCode::kUnknown) << bad;
  }
}

}  // namespace
}  // namespace coppice::rpc
