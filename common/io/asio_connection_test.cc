#include "common/io/asio_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <utility>

namespace coppice::io {
namespace {

struct Quiet final : ConnectionHandler {
  void OnOpen(Connection& /*connection*/) override {}
  void OnFrame(Connection& /*connection*/, const Frame& /*frame*/) override { ++frames; }
  void OnClosed(Connection& /*connection*/, const Status& reason) override {
    ++closed;
    why = reason;
    loop->Stop();
  }

  Loop* loop = nullptr;
  int frames = 0;
  int closed = 0;
  Status why;
};

// A connection over one end of a socket pair; the test holds the other.
struct AsioConnectionTest : ::testing::Test {
  explicit AsioConnectionTest(Micros liveness_tick = kSecond, std::uint32_t features = 0) {
    options.liveness_tick = liveness_tick;
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    mine = fds[0];
    far = fds[1];
    handler.loop = &loop;
    AsioConnection::Socket socket(loop.context());
    socket.assign(boost::asio::ip::tcp::v4(), mine);
    connection = std::make_shared<AsioConnection>(loop, std::move(socket), options,
                                                  AsioConnection::Events{});
    Hello peer;
    peer.features = features;
    connection->BeginAdopted(peer, {});
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

constexpr Micros kTick = 10 * kMillisecond;

struct PingingPeer : AsioConnectionTest {
  PingingPeer() : AsioConnectionTest(kTick, kFeaturePings) {}

  // What the far end gets, until `done` or 10 s have passed.
  std::string ReadFarUntil(const std::function<bool(const std::string&)>& done) {
    std::string got;
    std::function<void()> look = [&] {
      char buffer[4096];
      for (ssize_t n = 0; (n = read(far, buffer, sizeof buffer)) > 0;) {
        got.append(buffer, static_cast<std::size_t>(n));
      }
      if (done(got)) return loop.Stop();
      loop.RunAt(loop.now() + kMillisecond, look);
    };
    look();
    Run();
    return got;
  }
};

// As when the peer's process is gone without a word and what is between acknowledges for it, or
// when only its end of the connection is gone.
TEST_F(PingingPeer, ThatFallsSilentIsGivenUp) {
  Run();
  EXPECT_EQ(handler.closed, 1);
  EXPECT_EQ(handler.why.code(), StatusCode::kUnavailable);
  EXPECT_NE(MessageOf(handler.why).find("sent nothing for 0.05 s"), std::string::npos)
      << MessageOf(handler.why);
}

TEST_F(PingingPeer, IsPingedWhenThereIsNothingToSay) {
  const std::string got =
      ReadFarUntil([](const std::string& so_far) { return so_far.size() >= 24; });
  std::string_view frames;
  std::size_t size = 0;
  ASSERT_EQ(ReadPacket(got, frames, size), PacketError::kOk);
  Frame frame;
  ASSERT_TRUE(ReadFrame(frames, frame));
  EXPECT_EQ(frame.type, FrameType::kPing);
  EXPECT_TRUE(frames.empty());
}

TEST_F(PingingPeer, IsKeptWhileItPingsAndItsPingsAreNotPassedOn) {
  std::string ping;
  const std::size_t packet = OpenPacket(ping);
  Frame frame;
  frame.type = FrameType::kPing;
  PutFrameHeader(ping, frame, 0);
  ClosePacket(ping, packet);
  int pings = 0;
  const auto say = [&](const std::string& /*got*/) {
    return handler.closed != 0 || write(far, ping.data(), ping.size()) < 0 || ++pings == 200;
  };
  ReadFarUntil(say);
  EXPECT_EQ(pings, 200);
  EXPECT_EQ(handler.closed, 0);
  EXPECT_EQ(handler.frames, 0);
}

// One of a release that does not know pings, and may have nothing to say for long.
struct OldPeer : AsioConnectionTest {
  OldPeer() : AsioConnectionTest(kMillisecond, 0) {}
};

TEST_F(OldPeer, IsNeitherPingedNorGivenUp) {
  loop.RunAt(loop.now() + 50 * kMillisecond, [this] { loop.Stop(); });
  loop.Run();
  char byte = 0;
  EXPECT_LT(read(far, &byte, 1), 0);
  EXPECT_EQ(handler.closed, 0);
}

}  // namespace
}  // namespace coppice::io
