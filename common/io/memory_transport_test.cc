#include "common/io/memory_transport.h"

#include <gtest/gtest.h>

namespace coppice::io {
namespace {

struct Recorder : ConnectionHandler {
  void OnOpen(Connection& opened) override { connection = &opened; }
  void OnFrame(Connection& from, const Frame& frame) override {
    frames.push_back(std::string(frame.payload));
    if (frame.type == FrameType::kRequest) {
      Frame reply = frame;
      reply.type = FrameType::kReply;
      from.Send(reply);
    }
  }
  void OnClosed(Connection&, const Status& reason) override {
    connection = nullptr;
    closed = reason;
  }
  Connection* connection = nullptr;
  std::vector<std::string> frames;
  Status closed;
};

TransportOptions Options(std::uint64_t node, std::uint64_t cluster = 1) {
  TransportOptions options;
  options.hello.node_id = node;
  options.hello.cluster_id = cluster;
  return options;
}

struct Net : ::testing::Test {
  void Connect(std::uint64_t cluster = 1) {
    b = network.Join(Options(2));
    network.Listen(*b, "b", 1, [this](const Hello&) { return &at_b; });
    a = network.Join(Options(1, cluster));
    a->Dial("b", 1, ConnectionClass::kTail, at_a, [this](const DialFailure& f) { failed = f; });
  }
  static void Ask(Connection& connection, std::string_view text) {
    Frame frame;
    frame.type = FrameType::kRequest;
    frame.payload = text;
    connection.Send(frame);
  }

  MemoryNetwork network;
  std::unique_ptr<Transport> a;
  std::unique_ptr<Transport> b;
  Recorder at_a;
  Recorder at_b;
  std::optional<DialFailure> failed;
};

TEST_F(Net, NothingHappensUntilItIsDelivered) {
  Connect();
  EXPECT_EQ(at_a.connection, nullptr);
  network.DeliverAll();
  ASSERT_NE(at_a.connection, nullptr);
  EXPECT_EQ(at_a.connection->peer().node_id, 2U);
  EXPECT_EQ(at_b.connection->peer().node_id, 1U);
  EXPECT_EQ(at_b.connection->peer().connection_class, ConnectionClass::kTail);
  Ask(*at_a.connection, "one");
  Ask(*at_a.connection, "two");
  EXPECT_TRUE(at_b.frames.empty());
  network.DeliverAll();
  EXPECT_EQ(at_b.frames, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(at_a.frames, at_b.frames);
}

TEST_F(Net, PingsAreTheTransportsOwn) {
  Connect();
  network.DeliverAll();
  Frame ping;
  ping.type = FrameType::kPing;
  at_a.connection->Send(ping);
  Ask(*at_a.connection, "one");
  network.DeliverAll();
  EXPECT_EQ(at_b.frames, (std::vector<std::string>{"one"}));
}

TEST_F(Net, AClosedPortRefusesAndAnotherClusterDoesNotLetIn) {
  Connect(9);
  network.DeliverAll();
  ASSERT_TRUE(failed.has_value());
  EXPECT_FALSE(failed->refused);
  network.CloseProcess(*b);
  a->Dial("b", 1, ConnectionClass::kTail, at_a, [this](const DialFailure& f) { failed = f; });
  network.DeliverAll();
  EXPECT_TRUE(failed->refused);
  EXPECT_EQ(at_a.connection, nullptr);
}

TEST_F(Net, WhatWasSentBeforeACloseArrives) {
  Connect();
  network.DeliverAll();
  Ask(*at_a.connection, "last words");
  at_a.connection->Close(MakeStatus(StatusCode::kCancelled, "enough"));
  network.DeliverAll();
  EXPECT_EQ(at_b.frames, (std::vector<std::string>{"last words"}));
  EXPECT_EQ(at_a.closed.code(), StatusCode::kCancelled);
  EXPECT_EQ(at_b.closed.code(), StatusCode::kUnavailable);
}

TEST_F(Net, ACutLosesWhatIsInFlightAndBothEndsHearOfIt) {
  Connect();
  network.DeliverAll();
  Ask(*at_a.connection, "lost");
  network.Cut([](const Hello& dialer, const Hello& acceptor) {
    return dialer.node_id == 1 && acceptor.node_id == 2;
  });
  network.DeliverAll();
  EXPECT_TRUE(at_b.frames.empty());
  EXPECT_EQ(at_a.connection, nullptr);
  EXPECT_EQ(at_b.connection, nullptr);
}

TEST_F(Net, ACrashedProcessClosesItsConnections) {
  Connect();
  network.DeliverAll();
  b.reset();
  network.DeliverAll();
  EXPECT_EQ(at_a.connection, nullptr);
  EXPECT_FALSE(at_a.closed.ok());
}

}  // namespace
}  // namespace coppice::io
