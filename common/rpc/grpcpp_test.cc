// The server as real gRPC clients see it: grpc++ generic stubs against it.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>

#include "common/rpc/grpcpp_client.h"
#include "common/rpc/test_service.h"

namespace coppice::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(GrpcppUnary, EchoesMessagesOfAllSizes) {
  TestServer server;
  GrpcppClient client(server.port());
  for (const std::size_t size : {0UL, 1UL, 160UL, 16'384UL, 65'536UL, 1'500'000UL}) {
    const std::string message(size, 'm');
    const GrpcppResult result = client.Call("Unary", {message});
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    ASSERT_EQ(result.messages.size(), 1U);
    EXPECT_EQ(result.messages[0], message);
  }
}

TEST(GrpcppUnary, CarriesErrorsMessagesAndTrailers) {
  TestServer server;
  GrpcppClient client(server.port());
  const GrpcppResult result = client.Call("Unary", {"fail"});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(result.status.error_message(), "100% wrong: \xc3\xa9\n");
  EXPECT_EQ(result.trailers.at("coppice-test"), "why");
  EXPECT_TRUE(client.Call("Unary", {"alive"}).status.ok());
}

TEST(GrpcppUnary, ParsesMetadataAndSendsTrailers) {
  TestServer server;
  GrpcppClient client(server.port());
  const GrpcppResult result = client.Call("Unary", {"metadata"},
                                          {.metadata = {{"coppice-consistency", "bounded"},
                                                        {"coppice-max-staleness", "250ms"},
                                                        {"coppice-min-revision", "17"},
                                                        {"token", "t.1"},
                                                        {"hasleader", "true"},
                                                        {"source", "cache"},
                                                        {"coppice-odd", "x"}}});
  ASSERT_TRUE(result.status.ok());
  EXPECT_THAT(result.messages, ElementsAre("bounded|250ms|17|t.1|coppice-odd|leader|any"));
  EXPECT_EQ(result.trailers.at("coppice-served-by"), "test");
  EXPECT_EQ(result.trailers.at("coppice-staleness"), "12ms");
}

TEST(GrpcppUnary, UnknownAndUnbuiltMethodsAreUnimplemented) {
  TestServer server;
  GrpcppClient client(server.port());
  for (const char* method : {"Nothing", "Unbuilt"}) {
    const GrpcppResult result = client.Call(method, {"x"});
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(result.status.error_message(), HasSubstr(method));
  }
}

TEST(GrpcppUnary, TooLargeARequestIsResourceExhausted) {
  ServerOptions options;
  options.message_bytes_max = 1000;
  TestServer server(options);
  GrpcppClient client(server.port());
  const grpc::Status refused = client.Call("Unary", {std::string(1001, 'x')}).status;
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.error_message(), "grpc: received message larger than max (1001 vs. 1000)");
  EXPECT_TRUE(client.Call("Unary", {std::string(1000, 'x')}).status.ok());
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(GrpcppUnary, DeadlineEndsTheCallOnBothSides) {
  TestServer server;
  GrpcppClient client(server.port());
  const GrpcppResult result =
      client.Call("Never", {"x"}, {.timeout = std::chrono::milliseconds(60)});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(TestServer::Eventually([&] { return server.counts().done == 1; }));
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(GrpcppStreams, AllThreeKindsCarryTheirMessages) {
  TestServer server;
  GrpcppClient client(server.port());
  EXPECT_THAT(client.Call("ServerStream", {"4"}).messages, ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(client.Call("ClientStream", {"a", "", "bc"}).messages, ElementsAre("abc"));
  EXPECT_THAT(client.Call("Bidi", {"a", "b", "c"}).messages, ElementsAre("a", "b", "c"));
  EXPECT_EQ(client.Call("ServerStream", {"5000"}).messages.size(), 5000U);
}

TEST(GrpcppStreams, ClientStreamLargerThanTheWindowGoesThrough) {
  TestServer server;
  GrpcppClient client(server.port());
  const std::vector<std::string> messages(12, std::string(1'900'000, 'w'));
  const GrpcppResult result = client.Call("ClientStream", messages);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_EQ(result.messages.size(), 1U);
  EXPECT_EQ(result.messages[0].size(), 12U * 1'900'000U);
}

TEST(GrpcppStreams, LargeRepliesInPartsArriveWhole) {
  TestServer server;
  GrpcppClient client(server.port());
  const GrpcppResult result = client.Call("Parts", {"30000000"});
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_EQ(result.messages.size(), 1U);
  EXPECT_EQ(result.messages[0].size(), 30'000'000U);
}

TEST(GrpcppStreams, FloodArrivesWholeThroughBackpressure) {
  TestServer server;
  GrpcppClient client(server.port());
  const GrpcppResult result = client.Call("Flood", {"20000000"});
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  std::size_t size = 0;
  for (const std::string& message : result.messages) size += message.size();
  EXPECT_EQ(size, 20'000'000U);
}

TEST(GrpcppStreams, CancelEndsTheCallOnTheServer) {
  TestServer server;
  GrpcppClient client(server.port());
  GrpcppStream stream(client, "Bidi");
  ASSERT_TRUE(stream.Write("one"));
  std::string reply;
  ASSERT_TRUE(stream.Read(reply));
  EXPECT_EQ(reply, "one");
  stream.Cancel();
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(TestServer::Eventually([&] { return server.counts().done == 1; }));
  EXPECT_TRUE(client.Call("Unary", {"alive"}).status.ok());
}

TEST(GrpcppStreams, ASlowReaderHoldsBackOnlyItself) {
  TestServer server;
  GrpcppClient client(server.port());
  GrpcppStream slow(client, "Flood");
  ASSERT_TRUE(slow.Write("200000000"));
  ASSERT_TRUE(slow.WritesDone());
  std::string first;
  ASSERT_TRUE(slow.Read(first));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client.Call("Unary", {std::string(10'000, 'u')}).status.ok());
  }
  slow.Cancel();
  slow.Finish();
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(GrpcppStreams, AThousandAtOnceOnOneConnection) {
  TestServer server;
  GrpcppClient client(server.port());
  std::vector<std::unique_ptr<GrpcppStream>> streams;
  for (int i = 0; i < 1000; ++i) {
    streams.push_back(std::make_unique<GrpcppStream>(client, "Bidi"));
    ASSERT_TRUE(streams.back()->Write(std::to_string(i)));
  }
  for (int i = 0; i < 1000; ++i) {
    std::string reply;
    ASSERT_TRUE(streams[static_cast<std::size_t>(i)]->Read(reply));
    EXPECT_EQ(reply, std::to_string(i));
  }
  EXPECT_EQ(server.Calls(), 1000U);
  for (auto& stream : streams) {
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }
  EXPECT_TRUE(TestServer::Eventually([&] { return server.Calls() == 0; }));
}

TEST(GrpcppDrain, CallsUnderWayEndAndTheConnectionCloses) {
  TestServer server;
  GrpcppClient client(server.port());
  GrpcppStream stream(client, "Bidi");
  ASSERT_TRUE(stream.Write("one"));
  std::string reply;
  ASSERT_TRUE(stream.Read(reply));
  std::promise<void> drained;
  server.thread().Call([&] {
    server.server().Drain(20 * kSecond, [&] { drained.set_value(); });
    return 0;
  });
  ASSERT_TRUE(stream.Write("two"));
  ASSERT_TRUE(stream.Read(reply));
  EXPECT_EQ(reply, "two");
  stream.WritesDone();
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(server.Connections(), 0U);
}

TEST(GrpcppDrain, CallsWithoutAnEndAreToldToEnd) {
  TestServer server;
  GrpcppClient client(server.port());
  GrpcppStream stream(client, "Endless");
  ASSERT_TRUE(stream.Write("one"));
  std::string reply;
  ASSERT_TRUE(stream.Read(reply));
  std::promise<void> drained;
  server.thread().Call([&] {
    server.server().Drain(20 * kSecond, [&] { drained.set_value(); });
    return 0;
  });
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "going away");
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(server.counts().done, 1);
}

TEST(GrpcppDrain, GraceEndsWhatDoesNotEnd) {
  TestServer server;
  GrpcppClient client(server.port());
  GrpcppStream stream(client, "Bidi");
  ASSERT_TRUE(stream.Write("one"));
  std::string reply;
  ASSERT_TRUE(stream.Read(reply));
  std::promise<void> drained;
  server.thread().Call([&] {
    server.server().Drain(50 * kMillisecond, [&] { drained.set_value(); });
    return 0;
  });
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.counts().done, 1);
}

}  // namespace
}  // namespace coppice::rpc
