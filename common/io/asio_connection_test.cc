#include "common/io/asio_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace coppice::io {
namespace {

struct Quiet final : ConnectionHandler {
  void OnOpen(Connection& /*connection*/) override {}
  void OnFrame(Connection& /*connection*/, const Frame& /*frame*/) override {}
  void OnClosed(Connection& /*connection*/, const Status& reason) override {
    ++closed;
    why = reason;
    loop->Stop();
  }

  Loop* loop = nullptr;
  int closed = 0;
  Status why;
};

// A connection over one end of a socket pair; the test holds the other.
struct AsioConnectionTest : ::testing::Test {
  AsioConnectionTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    mine = fds[0];
    far = fds[1];
    handler.loop = &loop;
    AsioConnection::Socket socket(loop.context());
    socket.assign(boost::asio::ip::tcp::v4(), mine);
    connection = std::make_shared<AsioConnection>(loop, std::move(socket), options,
                                                  AsioConnection::Events{});
    connection->BeginAdopted({}, {});
    connection->Start(handler);
  }
  ~AsioConnectionTest() override { close(far); }

  void Run() {
    loop.RunAt(loop.now() + 10 * kSecond, [this] {
      timed_out = true;
      loop.Stop();
    });
    loop.Run();
    EXPECT_FALSE(timed_out);
  }
  void Send(std::size_t bytes) {
    const std::string payload(bytes, 'x');
    Frame frame;
    frame.type = FrameType::kRequest;
    frame.payload = payload;
    connection->Send(frame);
  }

  Loop loop{"test"};
  TransportOptions options;
  Quiet handler;
  std::shared_ptr<AsioConnection> connection;
  int mine = -1;
  int far = -1;
  bool timed_out = false;
};

TEST_F(AsioConnectionTest, AWriteErrorAtTheTurnsEndClosesItOnce) {
  ASSERT_EQ(shutdown(mine, SHUT_WR), 0);  // the next send gives EPIPE, and each one after it
  Send(1);
  Run();
  EXPECT_EQ(handler.closed, 1);
  EXPECT_EQ(handler.why.code(), StatusCode::kUnavailable);
}

TEST_F(AsioConnectionTest, AWriteErrorInTheLastFlushOfCloseClosesItOnce) {
  ASSERT_EQ(shutdown(mine, SHUT_WR), 0);
  Send(1);
  connection->Close(MakeStatus(StatusCode::kCancelled, "enough"));
  connection->Close(MakeStatus(StatusCode::kCancelled, "enough"));
  Run();
  EXPECT_EQ(handler.closed, 1);
}

TEST_F(AsioConnectionTest, AWriteErrorAfterTheSocketWasFullClosesItOnce) {
  Send(8U << 20);
  loop.RunAt(loop.now() + kMillisecond, [this] {
    // The writer waits for room: it comes, and with it the error.
    ASSERT_EQ(shutdown(mine, SHUT_WR), 0);
  });
  Run();
  EXPECT_EQ(handler.closed, 1);
}

}  // namespace
}  // namespace coppice::io
