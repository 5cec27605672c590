#include "common/node/watch_services.h"

#include <gtest/gtest.h>

#include "common/mvcc/memory_backend.h"
#include "common/replica/watch_wire.h"

namespace coppice::node {
namespace {

struct NoCore final : CorePort {
  void ReadsWait(int /*loop*/, int /*slot*/) override {}
  void Propose(int /*loop*/, std::vector<WriteIntent> /*intents*/) override {}
  void MoveLeader(NodeId /*to*/) override {}
  void Defragment() override {}
  void WantEvents(int /*loop*/, bool wants) override { wanted = wants; }
  void Renewals(int /*loop*/, replica::RenewBundle /*bundle*/) override {}
  bool wanted = false;
};

struct NoForwarder final : Forwarder {
  void ToLeader(const api::Request& /*request*/,
                std::unique_ptr<api::Replier> /*replier*/) override {}
  void FactsChanged(const FactsPtr& /*facts*/) override {}
};

struct NotingConnection final : io::Connection {
  const io::Hello& peer() const override { return hello; }
  std::string& BeginFrame(const io::Frame& frame, std::size_t /*payload_size*/) override {
    return frames.emplace_back(frame.type, std::string()).second;
  }
  std::size_t unsent_bytes() const override { return 0; }
  void Close(const Status& /*reason*/) override {}
  std::uint64_t id() const override { return 1; }
  std::size_t Events() const {
    return static_cast<std::size_t>(std::count_if(
        frames.begin(), frames.end(),
        [](const auto& frame) { return frame.first == io::FrameType::kWatchEvents; }));
  }
  io::Hello hello;
  std::vector<std::pair<io::FrameType, std::string>> frames;
};

// The watches of a loop whose core is elsewhere: a view can be seen before the loop is told of it.
class WatchServicesTest : public testing::Test {
 protected:
  WatchServicesTest()
      : store(*mvcc::Store::Open(std::make_unique<mvcc::MemoryBackend>(), {})),
        node(loop, {}, *store, core, forwarder),
        watches(loop, {}, *store, core, node) {
    replica::WatchCreateFrame create;
    create.range = mvcc::KeyRange::FromWire("key", "");
    create.credit = 1U << 20;
    const std::string payload = replica::EncodeWatchCreate(create);
    io::Frame frame;
    frame.type = io::FrameType::kWatchCreate;
    frame.stream = {1, 1};
    frame.payload = payload;
    watches.OnWatchFrame(connection, frame);
    Turn();
    EXPECT_TRUE(core.wanted);
    EXPECT_EQ(watches.hub().watchers(), 1U);
  }
  ~WatchServicesTest() override { watches.OnWatchClosed(connection); }

  // A turn in which the watches look at the view, whatever they were told.
  void Turn() {
    loop.Post([this] {
      watches.OnWatchWritable(connection);
      loop.Stop();
    });
    loop.Run();
    store->Quiesce(0, true);
  }
  // Applies a put: from here on the view has it. Returns what the loop is to be told.
  std::vector<mvcc::EventBatchPtr> Put(const std::string& value) {
    mvcc::PutOp put;
    put.key = "key";
    put.value = value;
    const std::vector<EntryPtr> entries{Entry::Make(Term(1), ++index, RecordKind::kCommand,
                                                    mvcc::EncodeCommand(mvcc::Command(put)))};
    mvcc::ApplyOutput out;
    EXPECT_TRUE(store->Apply(entries, {}, out).ok());
    return out.events;
  }

  io::Loop loop{"test"};
  std::unique_ptr<mvcc::Store> store;
  NoCore core;
  NoForwarder forwarder;
  NotingConnection connection;
  IoNode node;
  WatchServices watches;
  Index index;
};

TEST_F(WatchServicesTest, EventsThatAreOnTheirWayAreWaitedForAndNotReadFromHistory) {
  const auto first = Put("a");
  const auto second = Put("b");
  Turn();
  EXPECT_EQ(connection.Events(), 0U);
  EXPECT_EQ(watches.hub().behind(), 0U);
  watches.OnEvents(first.back()->revision, first);
  Turn();
  EXPECT_EQ(connection.Events(), 1U);
  EXPECT_EQ(watches.hub().revision(), first.back()->revision);
  watches.OnEvents(second.back()->revision, second);
  Turn();
  EXPECT_EQ(connection.Events(), 2U);
}

TEST_F(WatchServicesTest, RevisionsThatCameWithoutEventsAreReadFromHistory) {
  const auto events = Put("a");
  watches.OnEvents(events.back()->revision, {});
  Turn();
  EXPECT_EQ(connection.Events(), 1U);
}

}  // namespace
}  // namespace coppice::node
