// Our client against our server.
#include "common/rpc/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/test_client.h"
#include "common/rpc/test_service.h"

namespace coppice::rpc {
namespace {

using ::testing::ElementsAre;

TEST(Client, UnaryEchoesMessagesOfAllSizes) {
  TestServer server;
  TestClient client(server.port());
  for (const std::size_t size : {0UL, 1UL, 512UL, 16'384UL, 100'000UL, 2'000'000UL}) {
    const std::string message(size, 'm');
    const auto result = client.Wait(client.Unary("Unary", message));
    ASSERT_EQ(result.code, StatusCode::kOk) << result.error;
    EXPECT_THAT(result.messages, ElementsAre(message));
  }
  EXPECT_EQ(server.Calls(), 0U);
}

TEST(Client, UnaryBringsErrorsAndTrailers) {
  TestServer server;
  TestClient client(server.port());
  const auto result = client.Wait(client.Unary("Unary", "fail"));
  EXPECT_EQ(result.code, StatusCode::kInvalidArgument);
  EXPECT_EQ(result.error, "100% wrong: \xc3\xa9\n");
  EXPECT_EQ(result.trailers.at("coppice-test"), "why");
  EXPECT_EQ(client.Wait(client.Unary("Nothing", "")).code, StatusCode::kUnimplemented);
}

TEST(Client, MetadataReachesTheHandlerAndTrailersComeBack) {
  TestServer server;
  TestClient client(server.port());
  const auto result = client.Wait(client.Unary(
      "Unary", "metadata", 0, {{"coppice-consistency", "serializable"}, {"hasleader", "true"}}));
  EXPECT_THAT(result.messages, ElementsAre("serializable|||||leader|any"));
  EXPECT_EQ(result.trailers.at("coppice-staleness"), "12ms");
}

TEST(Client, AHeaderThatIsSetAnewLeavesEarlierCallsAlone) {
  TestServer server;
  TestClient client(server.port());
  const std::string large(200, '7');  // other memory than a short one's
  const std::vector<std::string> values = {"1", large, "23"};
  const auto keys = client.UnaryEach("metadata", "coppice-min-revision", values);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_THAT(client.Wait(keys[i]).messages, ElementsAre("||" + values[i] + "||||any"));
  }
}

TEST(Client, StreamsCarryMessagesBothWays) {
  TestServer server;
  TestClient client(server.port());
  const auto bidi = client.Stream("Bidi");
  for (int i = 0; i < 3; ++i) {
    client.Send(bidi, std::to_string(i));
    ASSERT_TRUE(client.WaitBytes(bidi, static_cast<std::size_t>(i + 1)));
  }
  client.HalfClose(bidi);
  EXPECT_THAT(client.Wait(bidi).messages, ElementsAre("0", "1", "2"));
  EXPECT_EQ(client.Wait(bidi).code, StatusCode::kOk);

  const auto up = client.Stream("ClientStream");
  for (int i = 0; i < 40; ++i) client.Send(up, std::string(1'000'000, 'u'));
  client.HalfClose(up);
  EXPECT_EQ(client.Wait(up).bytes, 40'000'000U);
  EXPECT_EQ(client.Wait(client.Unary("ServerStream", "1000")).messages.size(), 1000U);
}

// A message of the largest size must go through whatever part of the window has been handed back.
TEST(Client, LargestMessagesFollowSmallOnesOnOneStream) {
  TestServer server;
  TestClient client(server.port());
  const auto stream = client.Stream("Bidi");
  std::size_t expected = 0;
  for (const std::size_t size : {1'000'000UL, 2'097'152UL, 5UL, 2'097'152UL, 900'000UL}) {
    client.Send(stream, std::string(size, 'x'));
    expected += size;
  }
  EXPECT_TRUE(client.WaitBytes(stream, expected));
  client.HalfClose(stream);
  EXPECT_EQ(client.Wait(stream).code, StatusCode::kOk);
}

TEST(Client, PausedReaderHoldsBackOnlyItsOwnStream) {
  TestServer server;
  TestClient client(server.port());
  const auto slow = client.Stream("Flood");
  client.Pause(slow, true);
  constexpr std::size_t kBytes = 50'000'000;
  client.Send(slow, std::to_string(kBytes));
  client.HalfClose(slow);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(client.Wait(client.Unary("Unary", "quick")).code, StatusCode::kOk);
  }
  ASSERT_TRUE(client.WaitBytes(slow, 500'000));
  EXPECT_LT(client.Peek(slow).bytes, 2'000'000U);
  client.Pause(slow, false);
  EXPECT_EQ(client.Wait(slow).bytes, kBytes);
}

TEST(Client, LargeRepliesInPartsArriveWhole) {
  TestServer server;
  TestClient client(server.port());
  const auto result = client.Wait(client.Unary("Parts", "30000000"));
  EXPECT_EQ(result.code, StatusCode::kOk) << result.error;
  EXPECT_EQ(result.bytes, 30'000'000U);
}

TEST(Client, DeadlineEndsTheCallOnBothSides) {
  TestServer server;
  TestClient client(server.port());
  const auto result = client.Wait(client.Unary("Never", "", 50 * kMillisecond));
  EXPECT_EQ(result.code, StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(TestServer::Eventually([&] { return server.counts().done == 1; }));
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(Client, DeadlineEndsAReplyThatNobodyTakes) {
  TestServer server;
  TestClient client(server.port());
  const auto warm = client.Unary("Unary", "");
  client.Wait(warm);
  const auto flood = client.Unary("Flood", "9000000", 50 * kMillisecond);
  client.Pause(flood, true);
  EXPECT_EQ(client.Wait(flood).code, StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(Client, CancelEndsTheCallOnBothSides) {
  TestServer server;
  TestClient client(server.port());
  const auto never = client.Unary("Never", "");
  ASSERT_TRUE(TestServer::Eventually([&] { return server.counts().messages == 1; }));
  client.Cancel(never);
  EXPECT_EQ(client.Wait(never).code, StatusCode::kCancelled);
  EXPECT_TRUE(TestServer::Eventually([&] { return server.counts().done == 1; }));
  EXPECT_EQ(client.Wait(client.Unary("Unary", "")).code, StatusCode::kOk);
}

TEST(Client, AThousandStreamsAtOnce) {
  TestServer server;
  TestClient client(server.port());
  std::vector<std::uint64_t> streams;
  for (int i = 0; i < 1000; ++i) {
    streams.push_back(client.Stream("Bidi"));
    client.Send(streams.back(), "x");
  }
  for (const auto stream : streams) EXPECT_TRUE(client.WaitBytes(stream, 1));
  EXPECT_EQ(server.Calls(), 1000U);
  for (const auto stream : streams) client.HalfClose(stream);
  for (const auto stream : streams) EXPECT_EQ(client.Wait(stream).code, StatusCode::kOk);
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(Client, LostConnectionEndsItsCallsAsUnavailable) {
  auto server = std::make_unique<TestServer>();
  TestClient client(server->port());
  const auto never = client.Unary("Never", "");
  ASSERT_TRUE(TestServer::Eventually([&] { return server->counts().messages == 1; }));
  server.reset();
  EXPECT_EQ(client.Wait(never).code, StatusCode::kUnavailable);
  EXPECT_TRUE(client.WaitLost());
}

TEST(Client, RefusedConnectionIsReported) {
  std::uint16_t port = 0;
  {
    const TestServer server;
    port = server.port();
  }
  TestClient client(port);
  EXPECT_TRUE(client.WaitLost());
}

TEST(Client, DrainLetsCallsEndAndClosesTheConnection) {
  TestServer server;
  TestClient client(server.port());
  const auto stream = client.Stream("Bidi");
  client.Send(stream, "1");
  ASSERT_TRUE(client.WaitBytes(stream, 1));
  std::promise<void> drained;
  server.thread().Call([&] {
    server.server().Drain(20 * kSecond, [&] { drained.set_value(); });
    return 0;
  });
  client.Send(stream, "2");
  client.HalfClose(stream);
  EXPECT_EQ(client.Wait(stream).code, StatusCode::kOk);
  EXPECT_TRUE(client.WaitLost());
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST(Acceptor, AddressInUseIsAnErrorThatNamesIt) {
  TestServer server;
  LoopThread other("other");
  Server unused(other.loop(), ServerOptions(), {}, nullptr);
  Acceptor acceptor(other.loop(), {{&other.loop(), &unused}});
  const auto port = acceptor.Listen("127.0.0.1", server.port(), 0);
  ASSERT_FALSE(port.ok());
  EXPECT_THAT(std::string(MessageOf(port.status())), ::testing::HasSubstr(server.address()));
  EXPECT_FALSE(acceptor.Listen("203.0.113.1", 0, 0).ok());
}

TEST(Acceptor, SpreadsConnectionsOverLoops) {
  TestService service;
  LoopThread first("first");
  LoopThread second("second");
  auto one = std::make_unique<Server>(first.loop(), ServerOptions(), service.Methods(), nullptr);
  auto two = std::make_unique<Server>(second.loop(), ServerOptions(), service.Methods(), nullptr);
  auto acceptor = std::make_unique<Acceptor>(
      first.loop(), std::vector<std::pair<io::Loop*, Server*>>{{&first.loop(), one.get()},
                                                               {&second.loop(), two.get()}});
  const auto port = acceptor->Listen("localhost", 0, 0);
  ASSERT_TRUE(port.ok());
  first.Start();
  second.Start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<TestClient>(*port));
    EXPECT_EQ(clients.back()->Wait(clients.back()->Unary("Unary", "x")).code, StatusCode::kOk);
  }
  EXPECT_EQ(one->connections(), 4U);
  EXPECT_EQ(two->connections(), 4U);
  clients.clear();
  first.Stop();
  second.Stop();
  acceptor.reset();
  one.reset();
  two.reset();
}

}  // namespace
}  // namespace coppice::rpc
