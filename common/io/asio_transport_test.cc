#include "common/io/asio_transport.h"

#include <gtest/gtest.h>

#include <boost/asio/write.hpp>
#include <utility>

#include "common/base/coding.h"

namespace coppice::io {
namespace {

// Hears of a connection and echoes requests.
struct Recorder : ConnectionHandler {
  explicit Recorder(Loop& loop) : loop(loop) {}
  void OnOpen(Connection& connection) override {
    opened = &connection;
    if (on_open) on_open(connection);
  }
  void OnFrame(Connection& connection, const Frame& frame) override {
    frames.push_back(std::string(frame.payload));
    if (frame.type == FrameType::kRequest) {
      Frame reply = frame;
      reply.type = FrameType::kReply;
      connection.Send(reply);
    }
    if (on_frame) on_frame(connection);
  }
  void OnWritable(Connection& connection) override {
    if (on_writable) on_writable(connection);
  }
  void OnClosed(Connection&, const Status& reason) override {
    opened = nullptr;
    closed = reason;
    if (stop_on_close) loop.Stop();
  }

  Loop& loop;
  Connection* opened = nullptr;
  std::vector<std::string> frames;
  Status closed;
  bool stop_on_close = false;
  std::function<void(Connection&)> on_open;
  std::function<void(Connection&)> on_frame;
  std::function<void(Connection&)> on_writable;
};

struct Pair : ::testing::Test {
  TransportOptions Options(std::uint64_t node, std::uint64_t cluster, std::string secret) {
    TransportOptions options;
    options.hello.node_id = node;
    options.hello.cluster_id = cluster;
    options.peer_secret = std::move(secret);
    return options;
  }
  // Connects a dialer to an acceptor and runs the loop until stopped, 10 s at most.
  void Run(TransportOptions dialer, TransportOptions acceptor) {
    server =
        std::make_unique<AsioTransport>(loop, acceptor, [this](const Hello&) { return &accepted; });
    client = std::make_unique<AsioTransport>(loop, dialer, nullptr);
    listener = std::make_unique<PeerListener>(loop, acceptor,
                                              [this](const Hello&) { return server.get(); });
    port = *listener->Listen("127.0.0.1", 0);
    client->Dial("127.0.0.1", port, ConnectionClass::kRequest, dialed,
                 [this](const DialFailure& failure) {
                   failed = failure;
                   loop.Stop();
                 });
    Spin();
  }
  // What reading from a listener ends with for a stranger who sends this.
  boost::system::error_code AnswerTo(std::string_view bytes) {
    server = std::make_unique<AsioTransport>(loop, Options(2, 7, ""),
                                             [this](const Hello&) { return &accepted; });
    listener = std::make_unique<PeerListener>(loop, Options(2, 7, ""),
                                              [this](const Hello&) { return server.get(); });
    port = *listener->Listen("127.0.0.1", 0);
    boost::asio::ip::tcp::socket raw(loop.context());
    raw.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    boost::asio::write(raw, boost::asio::buffer(bytes));
    char byte = 0;
    boost::system::error_code error;
    raw.async_read_some(boost::asio::buffer(&byte, 1),
                        [&](const boost::system::error_code& e, std::size_t) {
                          error = e;
                          loop.Stop();
                        });
    Spin();
    return error;
  }
  void Spin() {
    loop.RunAt(loop.now() + 10 * kSecond, [this] {
      timed_out = true;
      loop.Stop();
    });
    loop.Run();
    EXPECT_FALSE(timed_out);
  }

  Loop loop{"test"};
  Recorder accepted{loop};
  Recorder dialed{loop};
  std::unique_ptr<AsioTransport> server;
  std::unique_ptr<AsioTransport> client;
  std::unique_ptr<PeerListener> listener;
  std::uint16_t port = 0;
  std::optional<DialFailure> failed;
  bool timed_out = false;
};

TEST_F(Pair, EchoesFramesOfAllSizesInOrder) {
  const std::vector<std::string> payloads = {"", "small", std::string(3U << 20, 'x'), "last"};
  dialed.on_open = [&](Connection& connection) {
    for (const std::string& payload : payloads) {
      Frame frame;
      frame.type = FrameType::kRequest;
      frame.payload = payload;
      connection.Send(frame);
    }
  };
  dialed.on_frame = [&](Connection&) {
    if (dialed.frames.size() == payloads.size()) loop.Stop();
  };
  Run(Options(1, 7, "s"), Options(2, 7, "s"));
  EXPECT_EQ(dialed.frames, payloads);
  EXPECT_EQ(accepted.frames, payloads);
  ASSERT_NE(dialed.opened, nullptr);
  EXPECT_EQ(dialed.opened->peer().node_id, 2U);
  EXPECT_EQ(accepted.opened->peer().node_id, 1U);
}

// Whoever stopped at a full buffer hears of room also when all of it left in one write.
TEST_F(Pair, OnWritableFollowsAFullBufferHoweverItLeft) {
  int rounds = 0;
  const auto fill = [&rounds](Connection& connection) {
    Frame frame;
    frame.type = FrameType::kReply;
    const std::string payload(64U << 10, 'x');
    frame.payload = payload;
    while (connection.unsent_bytes() < 256U << 10) connection.Send(frame);
    ++rounds;
  };
  dialed.on_open = fill;
  dialed.on_writable = [&](Connection& connection) {
    rounds < 20 ? fill(connection) : loop.Stop();
  };
  Run(Options(1, 7, "s"), Options(2, 7, "s"));
  EXPECT_EQ(rounds, 20);
}

TEST_F(Pair, AWrongSecretIsRefusedByTheDialerAlready) {
  Run(Options(1, 7, "wrong"), Options(2, 7, "right"));
  ASSERT_TRUE(failed.has_value());
  EXPECT_NE(MessageOf(failed->status).find("peer secret"), std::string::npos);
  EXPECT_FALSE(failed->refused);
  EXPECT_EQ(accepted.opened, nullptr);
}

TEST_F(Pair, ADialerWithoutTheSecretIsNotLetIn) {
  Run(Options(1, 7, ""), Options(2, 7, "right"));
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(accepted.opened, nullptr);
}

TEST_F(Pair, AnotherClusterIsRefused) {
  Run(Options(1, 7, ""), Options(2, 8, ""));
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(accepted.opened, nullptr);
}

TEST_F(Pair, ClosingOneEndIsHeardAtTheOther) {
  dialed.on_open = [&](Connection& connection) {
    loop.RunAt(loop.now() + kMillisecond,
               [&] { connection.Close(MakeStatus(StatusCode::kCancelled, "enough")); });
  };
  accepted.stop_on_close = true;
  Run(Options(1, 7, ""), Options(2, 7, ""));
  EXPECT_EQ(dialed.closed.code(), StatusCode::kCancelled);
  EXPECT_EQ(accepted.closed.code(), StatusCode::kUnavailable);
}

TEST_F(Pair, GarbageInsteadOfAHelloClosesTheConnection) {
  EXPECT_TRUE(AnswerTo("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(accepted.opened, nullptr);
}

// A stranger that announces a long packet would have us keep all of it before its Hello is looked
// at.
TEST_F(Pair, APacketTooLongForAHelloIsNotWaitedFor) {
  std::string bytes;
  PutLe<std::uint32_t>(bytes, kPacketBytesMax);
  PutLe<std::uint32_t>(bytes, 0);
  const Time begun = loop.Refresh();
  EXPECT_TRUE(AnswerTo(bytes.append(100, 'x')));
  EXPECT_LT(loop.now() - begun, 5 * kSecond) << "not by the Hello's time limit";
}

// What a peer may send us whole can be sent back behind other frames.
TEST_F(Pair, TheLongestFrameGoesBehindOthers) {
  const std::string longest(kPacketBytesMax - kFrameHeaderSize, 'x');
  dialed.on_open = [&](Connection& connection) {
    Frame frame;
    frame.type = FrameType::kReply;
    frame.payload = "short";
    connection.Send(frame);
    frame.payload = longest;
    connection.Send(frame);
  };
  accepted.on_frame = [&](Connection&) {
    if (accepted.frames.size() == 2) loop.Stop();
  };
  Run(Options(1, 7, ""), Options(2, 7, ""));
  ASSERT_EQ(accepted.frames.size(), 2U);
  EXPECT_EQ(accepted.frames[0], "short");
  EXPECT_TRUE(accepted.frames[1] == longest);
}

TEST_F(Pair, AConnectionThatEndsRightBehindItsHelloIsDropped) {
  const TransportOptions options = Options(7, 42, {});
  server =
      std::make_unique<AsioTransport>(loop, options, [this](const Hello&) { return &accepted; });
  listener =
      std::make_unique<PeerListener>(loop, options, [this](const Hello&) { return server.get(); });
  port = *listener->Listen("127.0.0.1", 0);
  Hello hello = options.hello;
  hello.node_id = 8;
  hello.nonce = 1;
  std::string payload;
  PutHello(payload, hello);
  std::string bytes;
  const std::size_t packet = OpenPacket(bytes);
  Frame frame;
  frame.payload = payload;
  PutFrameHeader(bytes, frame, payload.size());
  bytes += payload;
  ClosePacket(bytes, packet);
  {
    boost::asio::ip::tcp::socket socket(loop.context());
    socket.connect({boost::asio::ip::address_v4::loopback(), port});
    boost::asio::write(socket, boost::asio::buffer(bytes));
  }
  loop.RunAt(loop.now() + 50 * kMillisecond, [this] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(accepted.opened, nullptr);
}

TEST_F(Pair, NobodyListeningIsARefusal) {
  {
    PeerListener probe(loop, Options(2, 7, ""), nullptr);
    port = *probe.Listen("127.0.0.1", 0);
  }
  client = std::make_unique<AsioTransport>(loop, Options(1, 7, ""), nullptr);
  client->Dial("127.0.0.1", port, ConnectionClass::kRaft, dialed,
               [this](const DialFailure& failure) {
                 failed = failure;
                 loop.Stop();
               });
  Spin();
  ASSERT_TRUE(failed.has_value());
  EXPECT_TRUE(failed->refused);
}

TEST_F(Pair, APortInUseIsAnErrorThatNamesIt) {
  PeerListener first(loop, Options(2, 7, ""), nullptr);
  PeerListener second(loop, Options(2, 7, ""), nullptr);
  port = *first.Listen("127.0.0.1", 0);
  const auto result = second.Listen("127.0.0.1", port);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(MessageOf(result.status()).find(std::to_string(port)), std::string::npos);
  EXPECT_NE(MessageOf(result.status()).find("another process"), std::string::npos);
}

}  // namespace
}  // namespace coppice::io
