#include "common/node/link.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "common/io/memory_transport.h"

namespace coppice::node {
namespace {

struct FarEnd final : io::ConnectionHandler {
  void OnOpen(io::Connection& opened) override {
    connection = &opened;
    ++opens;
  }
  void OnFrame(io::Connection& /*from*/, const io::Frame& frame) override {
    frames.emplace_back(frame.payload);
  }
  void OnClosed(io::Connection& /*closed*/, const Status& /*reason*/) override {
    connection = nullptr;
  }
  io::Connection* connection = nullptr;
  int opens = 0;
  std::vector<std::string> frames;
};

class LinkTest : public testing::Test {
 protected:
  LinkTest() {
    io::TransportOptions options;
    options.hello.node_id = 1;
    near = network.Join(options);
    address.host = "far";
    address.port = 1;
    address.pause_min = kMillisecond;
    address.pause_max = 4 * kMillisecond;
  }
  void Listen() {
    io::TransportOptions options;
    options.hello.node_id = 2;
    far = network.Join(options);
    network.Listen(*far, "far", 1, [this](const io::Hello&) { return &far_end; });
  }
  void Connect() {
    Link::Hooks hooks;
    hooks.up = [this](io::Connection&) { ++ups; };
    hooks.frame = [this](const io::Frame& frame) { frames.emplace_back(frame.payload); };
    hooks.down = [this](const Status& reason) { downs.push_back(reason); };
    hooks.failed = [this](const Status&) { ++failures; };
    link.emplace(loop, *near, address, std::move(hooks), Rng(1));
    link->Start();
    network.DeliverAll();
  }
  // Runs the loop, and delivers what is sent, until `done`; 10 s at most.
  void Until(std::function<bool()> done) {
    const Time end = io::SystemClock().Now() + 10 * kSecond;
    bool result = false;
    std::function<void()> look = [&] {
      network.DeliverAll();
      result = done();
      if (result || io::SystemClock().Now() >= end) return loop.Stop();
      loop.RunAt(loop.Refresh() + kMillisecond, look);
    };
    loop.Post(look);
    loop.Run();
    ASSERT_TRUE(result);
  }
  static void Say(io::Connection& connection, std::string_view text) {
    io::Frame frame;
    frame.type = io::FrameType::kRequest;
    frame.payload = text;
    connection.Send(frame);
  }

  io::Loop loop{"test"};
  io::MemoryNetwork network;
  std::unique_ptr<io::Transport> near;
  std::unique_ptr<io::Transport> far;
  FarEnd far_end;
  Link::Options address;
  std::optional<Link> link;
  int ups = 0;
  int failures = 0;
  std::vector<Status> downs;
  std::vector<std::string> frames;
};

TEST_F(LinkTest, CarriesFramesBothWays) {
  Listen();
  Connect();
  ASSERT_NE(link->connection(), nullptr);
  Say(*link->connection(), "there");
  Say(*far_end.connection, "back");
  network.DeliverAll();
  EXPECT_EQ(far_end.frames, std::vector<std::string>{"there"});
  EXPECT_EQ(frames, std::vector<std::string>{"back"});
}

TEST_F(LinkTest, DialsUntilSomebodyListens) {
  Connect();
  Until([this] { return failures >= 3; });
  EXPECT_EQ(ups, 0);
  Listen();
  Until([this] { return ups == 1; });
  EXPECT_NE(link->connection(), nullptr);
}

TEST_F(LinkTest, ALostConnectionIsDialedAgain) {
  Listen();
  Connect();
  for (int loss = 1; loss <= 3; ++loss) {
    far_end.connection->Close(MakeStatus(StatusCode::kUnavailable, "cut"));
    Until([&] { return ups == loss + 1; });
    EXPECT_EQ(downs.size(), static_cast<std::size_t>(loss));
  }
  EXPECT_EQ(far_end.opens, 4);
}

TEST_F(LinkTest, WithoutRedialALossIsFinal) {
  Listen();
  address.redial = false;
  Connect();
  link->Close(MakeStatus(StatusCode::kCancelled, "enough"));
  network.DeliverAll();
  ASSERT_EQ(downs.size(), 1U);
  EXPECT_EQ(downs[0].code(), StatusCode::kCancelled);
  bool later = false;
  loop.RunAt(loop.now() + 10 * kMillisecond, [&] { later = true; });
  Until([&] { return later; });
  EXPECT_EQ(far_end.opens, 1);
}

TEST_F(LinkTest, NothingIsCalledAfterItsEnd) {
  Listen();
  Connect();
  Say(*far_end.connection, "too late");
  link.reset();
  network.DeliverAll();
  EXPECT_TRUE(frames.empty());
  EXPECT_TRUE(downs.empty());
  EXPECT_EQ(far_end.connection, nullptr);
}

TEST_F(LinkTest, MayEndWhileItDials) {
  Listen();
  Link::Hooks hooks;
  hooks.up = [this](io::Connection&) { ++ups; };
  link.emplace(loop, *near, address, std::move(hooks), Rng(1));
  link->Start();
  link.reset();
  network.DeliverAll();
  EXPECT_EQ(ups, 0);
  EXPECT_EQ(far_end.connection, nullptr);
}

TEST_F(LinkTest, MayEndInItsOwnCallback) {
  Listen();
  Link::Hooks hooks;
  hooks.down = [this](const Status& reason) {
    downs.push_back(reason);
    link.reset();
  };
  link.emplace(loop, *near, address, std::move(hooks), Rng(1));
  link->Start();
  network.DeliverAll();
  far_end.connection->Close(MakeStatus(StatusCode::kUnavailable, "cut"));
  network.DeliverAll();
  EXPECT_EQ(downs.size(), 1U);
  EXPECT_FALSE(link.has_value());
}

}  // namespace
}  // namespace coppice::node
