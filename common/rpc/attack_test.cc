// What a broken or hostile client may send, byte by byte. Where RFC 9113 makes it an error of a
// stream, the connection must live on; where it makes it an error of the connection, the server
// must say so and keep no call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/raw_client.h"
#include "common/rpc/test_service.h"

namespace coppice::rpc {
namespace {

using ::testing::HasSubstr;

constexpr std::uint8_t kEndHeaders = NGHTTP2_FLAG_END_HEADERS;
constexpr std::uint8_t kEndStream = NGHTTP2_FLAG_END_STREAM;

class Attack : public ::testing::Test {
 protected:
  ~Attack() override {
    EXPECT_TRUE(TestServer::Eventually([this] { return server_.Calls() == 0; }));
    RawClient next(server_.port());
    next.Handshake();
    EXPECT_TRUE(next.Alive());
  }

  TestServer server_;
};

TEST_F(Attack, FirstBytesOfNoProtocolCloseTheConnection) {
  for (const std::string_view bytes :
       {std::string_view("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        std::string_view("PRIVATE\r\n\r\nlonger than the preface is"),
        std::string_view("\x16\x03\x01\x02\x00\x01\x00", 7)}) {
    RawClient client(server_.port());
    client.Send(bytes);
    EXPECT_TRUE(client.AwaitClosed());
  }
}

TEST_F(Attack, PrefaceMayComeByteByByte) {
  RawClient client(server_.port());
  for (const char c : kPreface) client.Send({&c, 1});
  client.SendFrame(NGHTTP2_SETTINGS, 0, 0, "");
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, Http1IsSpokenOnTheSamePort) {
  RawClient client(server_.port());
  client.Send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.ReadSome(), HasSubstr("{\"health\":\"true\"}"));
  client.Send("GET /query?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadSome(), HasSubstr("a=1"));
  EXPECT_TRUE(client.AwaitClosed());
}

TEST_F(Attack, BadHpackEndsTheConnectionWithCompressionError) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 1, "\xff\xff\xff\xff\xff");
  EXPECT_EQ(client.AwaitGoAway(), NGHTTP2_COMPRESSION_ERROR);
  EXPECT_TRUE(client.AwaitClosed());
}

TEST_F(Attack, FramesOutOfOrderEndTheConnection) {
  const auto expect_protocol_error = [this](auto attack) {
    RawClient client(server_.port());
    client.Handshake();
    attack(client);
    EXPECT_EQ(client.AwaitGoAway(), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_TRUE(client.AwaitClosed());
  };
  expect_protocol_error([](RawClient& c) { c.SendFrame(NGHTTP2_DATA, 0, 1, "idle stream"); });
  expect_protocol_error([](RawClient& c) { c.SendFrame(NGHTTP2_DATA, 0, 0, "no stream"); });
  expect_protocol_error([](RawClient& c) { c.SendFrame(NGHTTP2_CONTINUATION, 4, 1, "alone"); });
  expect_protocol_error([](RawClient& c) { c.SendRequest(2, "/test.Echo/Unary", true); });
  expect_protocol_error([](RawClient& c) {
    c.SendFrame(NGHTTP2_HEADERS, 0, 1, "");  // no END_HEADERS: only CONTINUATION may follow
    c.SendFrame(NGHTTP2_PING, 0, 0, "12345678");
  });
  expect_protocol_error(
      [](RawClient& c) { c.SendFrame(NGHTTP2_RST_STREAM, 0, 9, std::string(4, '\0')); });
  expect_protocol_error(
      [](RawClient& c) { c.SendFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string(4, '\0')); });
}

// What the peer still sends is unread when the connection is closed: a reset could take the answer
// with it.
TEST_F(Attack, WhoIsStillSendingGetsItsAnswer) {
  RawClient client(server_.port());
  client.Send("POST /v3/kv/range HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n");
  EXPECT_TRUE(client.Send(std::string(4U << 20, 'x')));
  EXPECT_THAT(client.ReadSome(), HasSubstr("405"));
}

TEST_F(Attack, FrameLongerThanAllowedIsAFrameSizeError) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Bidi", false);
  client.SendFrame(NGHTTP2_DATA, 0, 1, std::string(16'385, 'x'));
  EXPECT_EQ(client.AwaitGoAway(), NGHTTP2_FRAME_SIZE_ERROR);
}

TEST_F(Attack, MalformedRequestsResetOnlyTheirStream) {
  RawClient client(server_.port());
  client.Handshake();
  // No :path; a connection header; an upper-case name.
  client.SendFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 1,
                   client.Block({{":method", "POST"}, {":scheme", "http"}}));
  EXPECT_EQ(client.AwaitAnswer(1)["rst"], "1");
  client.SendRequest(3, "/test.Echo/Unary", true, {{"connection", "close"}});
  EXPECT_EQ(client.AwaitAnswer(3)["rst"], "1");
  client.SendRequest(5, "/test.Echo/Unary", true, {{"Upper", "case"}});
  EXPECT_EQ(client.AwaitAnswer(5)["rst"], "1");
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, WrongContentTypeAndMethodAreHttpErrors) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 1,
                   client.Block({{":method", "POST"},
                                 {":scheme", "http"},
                                 {":path", "/test.Echo/Unary"},
                                 {":authority", "test"},
                                 {"content-type", "application/json"}}));
  EXPECT_EQ(client.AwaitAnswer(1)[":status"], "415");
  client.SendFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 3,
                   client.Block({{":method", "GET"},
                                 {":scheme", "http"},
                                 {":path", "/test.Echo/Unary"},
                                 {":authority", "test"}}));
  EXPECT_EQ(client.AwaitAnswer(3)[":status"], "405");
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, OtherEncodingsAreUnimplementedAndTheAcceptedOneIsNamed) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Unary", false, {{"grpc-encoding", "gzip"}});
  auto answer = client.AwaitAnswer(1);
  EXPECT_EQ(answer["grpc-status"], "12");
  EXPECT_EQ(answer["grpc-accept-encoding"], "identity");
  client.SendRequest(3, "/test.Echo/Unary", false, {{"grpc-timeout", "soon"}});
  EXPECT_EQ(client.AwaitAnswer(3)["grpc-status"], "13");
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, MessagesThatDoNotFitTheirPrefixFailTheCall) {
  RawClient client(server_.port());
  client.Handshake();
  const auto send = [&](std::int32_t stream, std::string_view bytes) {
    client.SendRequest(stream, "/test.Echo/Unary", false);
    client.SendFrame(NGHTTP2_DATA, kEndStream, stream, bytes);
    return client.AwaitAnswer(stream)["grpc-status"];
  };
  EXPECT_EQ(send(1, std::string_view("\0\0\0\0\x05hell", 9)), "13");         // shorter
  EXPECT_EQ(send(3, std::string_view("\0\0\0\0\x05hello!", 11)), "12");      // longer
  EXPECT_EQ(send(5, std::string_view("\0\0\0", 3)), "13");                   // half a prefix
  EXPECT_EQ(send(7, std::string_view("\1\0\0\0\x01x", 6)), "13");            // compressed
  EXPECT_EQ(send(9, std::string_view("\0\xff\xff\xff\xffhello", 10)), "8");  // 4 GiB
  EXPECT_EQ(send(11, ""), "12");                                             // none
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, PaddedAndSplitMessagesAreWhole) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Unary", false);
  const std::string framed("\0\0\0\0\x05hello", 10);
  for (const char c : framed) {
    std::string padded = "\x20" + std::string(1, c) + std::string(32, '\0');
    client.SendFrame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, padded);
  }
  client.SendFrame(NGHTTP2_DATA, kEndStream, 1, "");
  auto answer = client.AwaitAnswer(1);
  EXPECT_EQ(answer["data"], framed);
  EXPECT_EQ(answer["grpc-status"], "0");
}

TEST_F(Attack, RequestTrailersEndTheRequest) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Unary", false);
  client.SendMessage(1, "x", false);
  client.SendFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 1, client.Block({{"late", "yes"}}));
  EXPECT_EQ(client.AwaitAnswer(1)["grpc-status"], "0");
}

TEST_F(Attack, AnswerBeforeHalfCloseResetsTheStreamWithNoError) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Nothing", false);
  EXPECT_EQ(client.AwaitAnswer(1)["grpc-status"], "12");
  const auto reset = client.Await(NGHTTP2_RST_STREAM);
  ASSERT_TRUE(reset.has_value());
  EXPECT_EQ(reset->stream_id, 1);
  EXPECT_EQ(reset->payload, std::string(4, '\0'));
  // What was under way when the reset came is ignored.
  client.SendMessage(1, "late", true);
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, DataAfterHalfCloseResetsTheStream) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Never", false);
  client.SendMessage(1, "x", true);
  client.SendMessage(1, "more", false);
  const int goaway = client.AwaitGoAway();
  EXPECT_TRUE(goaway == NGHTTP2_STREAM_CLOSED || goaway == NGHTTP2_PROTOCOL_ERROR) << goaway;
}

TEST_F(Attack, HeadersLargerThanTheListLimitFailTheCall) {
  RawClient client(server_.port());
  client.Handshake();
  // Small on the wire: one indexed field, many times.
  std::vector<std::pair<std::string, std::string>> many(300, {"x-bomb", std::string(100, 'b')});
  client.SendRequest(1, "/test.Echo/Unary", false, many);
  EXPECT_EQ(client.AwaitAnswer(1)["grpc-status"], "8");
  EXPECT_TRUE(client.Alive());
}

TEST_F(Attack, ContinuationFloodEndsTheConnection) {
  RawClient client(server_.port());
  client.Handshake();
  client.SendFrame(NGHTTP2_HEADERS, kEndStream, 1,
                   client.Block({{":method", "POST"}, {":scheme", "http"}}));
  for (int i = 0; i < 10'000; ++i) client.SendFrame(NGHTTP2_CONTINUATION, 0, 1, "");
  EXPECT_TRUE(client.AwaitClosed());
}

TEST_F(Attack, ClientGoneInMidMessageLeavesNothing) {
  for (const char* method : {"/test.Echo/Unary", "/test.Echo/ClientStream", "/test.Echo/Flood"}) {
    RawClient client(server_.port());
    client.Handshake();
    client.SendRequest(1, method, false);
    client.SendMessage(1, "100000000", std::string_view(method).ends_with("Flood"));
    client.SendRequest(3, method, false);
    client.SendFrame(NGHTTP2_DATA, 0, 3, std::string_view("\0\0\0\1\0part", 9));
    EXPECT_TRUE(client.Await(NGHTTP2_SETTINGS).has_value());
    EXPECT_TRUE(TestServer::Eventually([this] { return server_.Calls() > 0; }));
    client.Abort();
    EXPECT_TRUE(TestServer::Eventually([this] { return server_.Connections() == 0; }));
  }
}

TEST_F(Attack, ManyPingsWithoutDataGetTooManyPings) {
  RawClient client(server_.port());
  client.Handshake();
  for (int i = 0; i < 3; ++i) {
    client.SendFrame(NGHTTP2_PING, 0, 0, "12345678");
    ASSERT_TRUE(client.Await(NGHTTP2_PING).has_value());
  }
  // A reply in between forgives.
  EXPECT_TRUE(client.Alive());
  for (int i = 0; i < 5; ++i) client.SendFrame(NGHTTP2_PING, 0, 0, "12345678");
  const auto goaway = client.Await(NGHTTP2_GOAWAY);
  ASSERT_TRUE(goaway.has_value());
  EXPECT_EQ(goaway->payload[7], NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_THAT(goaway->payload, HasSubstr("too_many_pings"));
  EXPECT_TRUE(client.AwaitClosed());
}

TEST(AttackLimits, ResetFloodEndsTheConnection) {
  ServerOptions options;
  options.reset_burst = 100;
  options.reset_per_second = 1;
  TestServer server(options);
  RawClient client(server.port());
  client.Handshake();
  for (std::int32_t i = 0; i < 400; ++i) {
    client.SendRequest(2 * i + 1, "/test.Echo/Never", false);
    client.SendFrame(NGHTTP2_RST_STREAM, 0, 2 * i + 1, std::string("\0\0\0\x08", 4));
  }
  EXPECT_NE(client.AwaitGoAway(), 0);
  EXPECT_TRUE(client.AwaitClosed());
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(AttackLimits, StreamsOverTheLimitAreRefused) {
  ServerOptions options;
  options.streams_max = 2;
  TestServer server(options);
  RawClient client(server.port());
  client.Handshake();
  for (const std::int32_t id : {1, 3}) {
    client.SendRequest(id, "/test.Echo/Never", false);
    client.SendMessage(id, "x", true);
  }
  client.SendRequest(5, "/test.Echo/Never", true);
  EXPECT_EQ(client.AwaitAnswer(5)["rst"], std::to_string(NGHTTP2_REFUSED_STREAM));
  EXPECT_EQ(server.Calls(), 2U);
}

TEST(AttackLimits, UnfinishedMessagesOverTheMemoryLimitRefuseNewStreams) {
  ServerOptions options;
  options.memory_bytes_max = 10'000;
  TestServer server(options);
  RawClient client(server.port());
  client.Handshake();
  client.SendRequest(1, "/test.Echo/Unary", false);
  client.SendFrame(NGHTTP2_DATA, 0, 1, std::string("\0\0\0\x60\0", 5) + std::string(12'000, 'x'));
  client.SendRequest(3, "/test.Echo/Unary", false);
  EXPECT_EQ(client.AwaitAnswer(3)["rst"], std::to_string(NGHTTP2_REFUSED_STREAM));
  client.SendFrame(NGHTTP2_DATA, kEndStream, 1, std::string(24'576 - 12'000, 'x'));
  EXPECT_EQ(client.AwaitAnswer(1)["grpc-status"], "0");
  EXPECT_TRUE(client.Alive());
}

TEST(AttackLimits, UnfinishedMessagesOfStreamsThatWereAdmittedAreBoundedToo) {
  ServerOptions options;
  options.memory_bytes_max = 10'000;
  options.message_bytes_max = 20'000;
  TestServer server(options);
  RawClient client(server.port());
  client.Handshake();
  for (std::int32_t id = 1; id <= 9; id += 2) client.SendRequest(id, "/test.Echo/Unary", false);
  const std::string part = std::string("\0\0\0\x3a\x98", 5) + std::string(12'000, 'x');
  for (std::int32_t id = 1; id <= 9; id += 2) client.SendFrame(NGHTTP2_DATA, 0, id, part);
  for (std::int32_t id = 5; id <= 9; id += 2) {
    EXPECT_EQ(client.AwaitAnswer(id)["grpc-status"], "8") << id;
  }
  for (std::int32_t id = 1; id <= 3; id += 2) {
    client.SendFrame(NGHTTP2_DATA, kEndStream, id, std::string(3'000, 'x'));
    EXPECT_EQ(client.AwaitAnswer(id)["grpc-status"], "0") << id;
  }
  EXPECT_TRUE(client.Alive());
}

TEST(AttackLimits, SilentClientIsPingedAndThenDropped) {
  ServerOptions options;
  options.keepalive_interval = 40 * kMillisecond;
  options.keepalive_timeout = 40 * kMillisecond;
  TestServer server(options);
  RawClient client(server.port());
  client.Handshake();
  EXPECT_TRUE(client.Await(NGHTTP2_PING).has_value());
  EXPECT_TRUE(client.AwaitClosed());
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Connections() == 0; }));
}

// The client asks without reading: once the kernel and 1 MiB of frames are full, the server stops
// reading, and its memory stays bounded.
TEST(AttackLimits, ClientThatNeverReadsIsNotReadEither) {
  TestServer server;
  RawClient client(server.port());
  client.Handshake();
  // A window so large that only the socket holds the replies back.
  client.SendFrame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\x7f\xff\xff\xff", 6));
  client.SendFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\x7f\xff\0\0", 4));
  const std::string message(16'000, 'r');
  bool taken = true;
  for (std::int32_t id = 1; taken && id < 8000; id += 2) {
    taken = client.SendRequest(id, "/test.Echo/Unary", false);
    taken = taken && client.SendMessage(id, message, true);
  }
  EXPECT_FALSE(taken);
  EXPECT_LT(server.counts().messages, 3000);
  client.Abort();
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

}  // namespace
}  // namespace coppice::rpc
