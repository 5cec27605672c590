// Our client against a grpc++ server.
#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "common/rpc/grpcpp_client.h"
#include "common/rpc/test_client.h"

namespace coppice::rpc {
namespace {

using ::testing::ElementsAre;

// Echoes each message; "fail" ends the call with an error and a trailer, a method named Never is
// not answered. Deletes itself.
class EchoReactor final : public grpc::ServerGenericBidiReactor {
 public:
  explicit EchoReactor(grpc::GenericCallbackServerContext* context)
      : context_(context), answer_(context->method() != "/test.Echo/Never") {
    StartRead(&buffer_);
  }
  void OnReadDone(bool ok) override {
    if (!answer_) return;  // OnCancel finishes it, and only one may
    if (!ok) return Finish(grpc::Status::OK);
    if (FromBuffer(buffer_) == "fail") {
      context_->AddTrailingMetadata("why", "because");
      return Finish(grpc::Status(grpc::StatusCode::ABORTED, "h\xc3\xa9 50%"));
    }
    StartWrite(&buffer_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&buffer_);
  }
  void OnCancel() override {
    if (!answer_) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  grpc::GenericCallbackServerContext* const context_;
  const bool answer_;
  grpc::ByteBuffer buffer_;
};

class EchoService final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new EchoReactor(context);
  }
};

class GrpcppServer {
 public:
  GrpcppServer() {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(-1);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  std::uint16_t port() const { return static_cast<std::uint16_t>(port_); }
  void Shutdown() {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  }

 private:
  EchoService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(ClientToGrpcpp, UnaryCallsOfAllSizes) {
  GrpcppServer server;
  TestClient client(server.port());
  for (const std::size_t size : {0UL, 1UL, 16'384UL, 3'000'000UL}) {
    const std::string message(size, 'g');
    const auto result = client.Wait(client.Unary("Unary", message, 20 * kSecond));
    ASSERT_EQ(result.code, StatusCode::kOk) << result.error;
    EXPECT_THAT(result.messages, ElementsAre(message));
  }
}

TEST(ClientToGrpcpp, ErrorsAndTrailers) {
  GrpcppServer server;
  TestClient client(server.port());
  const auto result = client.Wait(client.Unary("Unary", "fail"));
  EXPECT_EQ(result.code, StatusCode::kAborted);
  EXPECT_EQ(result.error, "h\xc3\xa9 50%");
  EXPECT_EQ(result.trailers.at("why"), "because");
}

TEST(ClientToGrpcpp, BidiStreamsAndLargeTransfers) {
  GrpcppServer server;
  TestClient client(server.port());
  const auto stream = client.Stream("Bidi");
  for (int i = 0; i < 20; ++i) client.Send(stream, std::string(500'000, 'b'));
  ASSERT_TRUE(client.WaitBytes(stream, 10'000'000));
  client.HalfClose(stream);
  EXPECT_EQ(client.Wait(stream).code, StatusCode::kOk);
}

TEST(ClientToGrpcpp, DeadlinesAndCancellation) {
  GrpcppServer server;
  TestClient client(server.port());
  EXPECT_EQ(client.Wait(client.Unary("Never", "x", 50 * kMillisecond)).code,
            StatusCode::kDeadlineExceeded);
  const auto never = client.Unary("Never", "x");
  client.Cancel(never);
  EXPECT_EQ(client.Wait(never).code, StatusCode::kCancelled);
  EXPECT_EQ(client.Wait(client.Unary("Unary", "x")).code, StatusCode::kOk);
}

TEST(ClientToGrpcpp, ShutdownIsReportedAndEndsTheCalls) {
  GrpcppServer server;
  TestClient client(server.port());
  const auto stream = client.Stream("Bidi");
  client.Send(stream, "1");
  ASSERT_TRUE(client.WaitBytes(stream, 1));
  server.Shutdown();
  EXPECT_TRUE(client.Wait(stream).finished);
  EXPECT_TRUE(client.WaitLost());
}

}  // namespace
}  // namespace coppice::rpc
