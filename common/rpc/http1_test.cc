#include "common/rpc/http1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice::rpc {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const HttpHandler kHandler = [](std::string_view path, std::string_view query) {
  return HttpResponse{200, "text/plain", std::string(path) + "|" + std::string(query)};
};

TEST(Http1, AnswersGetsOneAfterTheOtherHoweverTheyArrive) {
  const std::string bytes =
      "GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /health?a=b HTTP/1.1\r\nHost: x\r\n\r\n";
  Http1Session session(kHandler);
  std::string out;
  for (const char c : bytes) EXPECT_TRUE(session.Receive({&c, 1}, out));
  EXPECT_THAT(out, HasSubstr("Content-Length: 9\r\n\r\n/version|"));
  EXPECT_THAT(out, HasSubstr("\r\n\r\n/health|a=b"));
}

TEST(Http1, ClosesWhenAskedTo) {
  Http1Session session(kHandler);
  std::string out;
  EXPECT_FALSE(session.Receive("GET / HTTP/1.1\r\nCONNECTION: Close\r\n\r\n", out));
  EXPECT_THAT(out, HasSubstr("Connection: close"));
  Http1Session old(kHandler);
  EXPECT_FALSE(old.Receive("GET / HTTP/1.0\r\n\r\n", out));
}

TEST(Http1, HeadHasNoBody) {
  Http1Session session(kHandler);
  std::string out;
  EXPECT_TRUE(session.Receive("HEAD /x HTTP/1.1\r\n\r\n", out));
  EXPECT_TRUE(out.ends_with("Content-Length: 3\r\n\r\n")) << out;
}

TEST(Http1, RequestsInOnePieceDoNotPileUpAnswers) {
  const HttpHandler large = [](std::string_view, std::string_view) {
    return HttpResponse{200, "text/plain", std::string(50'000, 'm')};
  };
  std::string requests;
  for (int i = 0; i < 1000; ++i) requests += "GET /metrics HTTP/1.1\r\n\r\n";
  Http1Session session(large);
  std::string out;
  EXPECT_FALSE(session.Receive(requests, out)) << "the connection ends once this is sent";
  EXPECT_GT(out.size(), 10 * 50'000U);
  EXPECT_LT(out.size(), 2'000'000U);
}

TEST(Http1, RefusesWhatItDoesNotSpeak) {
  const std::pair<std::string, std::string> cases[] = {
      {"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405"},
      {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 405"},
      {"nonsense\r\n\r\n", "HTTP/1.1 400"},
      {"GET /\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x'), "HTTP/1.1 431"},
  };
  for (const auto& [request, answer] : cases) {
    Http1Session session(kHandler);
    std::string out;
    EXPECT_FALSE(session.Receive(request, out));
    EXPECT_THAT(out, StartsWith(answer));
  }
}

}  // namespace
}  // namespace coppice::rpc
