#include "voter/admission.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>

#include "common/io/memory_disk.h"
#include "common/io/memory_transport.h"

namespace coppice::voter {
namespace {

class ManualClock final : public Clock {
 public:
  Time Now() const override { return now; }
  std::int64_t UnixMicros() const override { return now; }
  Time now = kSecond;
};

constexpr std::uint64_t kClusterId = 0xc1;

// The processes of a cluster's voters, each with a disk that outlives them. All of it in one
// thread; a voter that has been admitted goes on answering as one that takes part does.
class AdmissionTest : public testing::Test {
 protected:
  struct Voter {
    Cluster cluster;
    std::unique_ptr<io::MemoryDisk> disk = std::make_unique<io::MemoryDisk>();
    std::optional<Directories> directories;
    std::unique_ptr<io::Transport> transport;
    std::unique_ptr<Admission> admission;
    std::optional<Status> result;  // nothing: it still asks
  };

  void Create(int count) {
    Cluster cluster;
    cluster.id = kClusterId;
    for (int i = 1; i <= count; ++i) {
      cluster.voters.push_back({NodeId(static_cast<std::uint64_t>(i)), fmt::format("v{}", i),
                                fmt::format("v{}", i), 2380});
    }
    voters_.resize(static_cast<std::size_t>(count));
    for (int i = 1; i <= count; ++i) {
      At(i).cluster = cluster;
      At(i).cluster.self = NodeId(static_cast<std::uint64_t>(i));
    }
  }
  Voter& At(int number) { return voters_[static_cast<std::size_t>(number - 1)]; }

  void Start(int number) {
    Voter& voter = At(number);
    const Directories::Owner owner{kClusterId, voter.cluster.self};
    ASSERT_TRUE(voter.disk->CreateDirectories("member").ok());
    voter.directories = Directories::Load(*voter.disk, "member", owner).value();
    if (!voter.directories) {
      voter.directories = Directories::Make(*voter.disk, "member", owner, ++last_id_).value();
    }
    io::TransportOptions options;
    options.hello.cluster_id = kClusterId;
    options.hello.node_id = voter.cluster.self.value();
    options.hello.directory_id = voter.directories->own();
    voter.transport = network_.Join(options);
    voter.admission = std::make_unique<Admission>(loop_, *voter.transport, *voter.directories,
                                                  voter.cluster, Rng(1));
    network_.Listen(*voter.transport, fmt::format("v{}", number), 2380,
                    [&voter](const io::Hello& peer) { return voter.admission->Accept(peer); });
    voter.admission->Start([&voter](const Status& status) { voter.result = status; });
  }
  void Stop(int number) {
    Voter& voter = At(number);
    voter.transport.reset();
    network_.DeliverAll();
    voter.admission.reset();
    voter.directories.reset();
    voter.result.reset();
  }
  void LoseDisk(int number) { At(number).disk = std::make_unique<io::MemoryDisk>(); }

  // A second, in which whoever asks asks everybody several times.
  void Run() {
    for (int i = 0; i < 100; ++i) {
      clock_.now += 10 * kMillisecond;
      loop_.DriveTurn([this] { network_.DeliverAll(); });
    }
  }
  bool Admitted(int number) { return At(number).result && At(number).result->ok(); }
  bool Waits(int number) { return !At(number).result; }
  void TearDown() override {
    for (Voter& voter : voters_) voter.transport.reset();
    network_.DeliverAll();
  }

  ManualClock clock_;
  io::Loop loop_{"test", clock_};
  io::MemoryNetwork network_;
  std::uint64_t last_id_ = 100;
  std::vector<Voter> voters_;
};

TEST_F(AdmissionTest, AllAtTheirFirstStartAdmitEachOther) {
  Create(3);
  for (int i = 1; i <= 3; ++i) Start(i);
  Run();
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Admitted(i)) << i;
}

TEST_F(AdmissionTest, OneThatStartsForTheFirstTimeLateIsAdmitted) {
  Create(5);
  for (int i = 1; i <= 4; ++i) Start(i);
  Run();
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(Admitted(i)) << i;
  Start(5);
  Run();
  EXPECT_TRUE(Admitted(5));
}

TEST_F(AdmissionTest, OneThatReachesTooFewWaitsForMore) {
  Create(5);
  for (int i = 1; i <= 3; ++i) Start(i);
  Run();
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Waits(i)) << i;
  Start(4);
  Run();
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(Admitted(i)) << i;
}

TEST_F(AdmissionTest, OneThatLostItsDiskIsToldSo) {
  Create(3);
  for (int i = 1; i <= 3; ++i) Start(i);
  Run();
  Stop(1);
  LoseDisk(1);
  Start(1);
  Run();
  ASSERT_FALSE(Waits(1));
  EXPECT_EQ(At(1).result->code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(*At(1).result).find("knows this voter by another data directory"),
            std::string::npos);
}

// Its owner removes what it made; nothing may come back.
TEST_F(AdmissionTest, OneThatWasRefusedWritesNothingMore) {
  Create(3);
  for (int i = 1; i <= 3; ++i) Start(i);
  Run();
  Stop(1);
  Stop(3);
  LoseDisk(1);
  Start(1);
  Run();
  ASSERT_FALSE(Waits(1) || Admitted(1));
  const auto written = At(1).disk->Image();
  Start(3);  // dials the first, which has not met it since
  Run();
  EXPECT_EQ(At(1).disk->Image(), written);
}

TEST_F(AdmissionTest, OneThatStartsAgainWithItsOwnDirectoryIsAdmitted) {
  Create(3);
  Start(1);
  Start(2);
  Run();
  Stop(1);
  Start(1);
  Start(3);
  Run();
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Admitted(i)) << i;
}

// The ones that it reaches have never heard of it; the one that counted its votes is down.
TEST_F(AdmissionTest, OneThatLostItsDiskWaitsForWhoMayRemember) {
  Create(5);
  for (int i = 1; i <= 4; ++i) Start(i);
  Run();
  ASSERT_TRUE(Admitted(1));
  for (int i = 1; i <= 4; ++i) Stop(i);
  LoseDisk(1);
  LoseDisk(2);  // one more may
  Start(1);
  Start(2);
  Start(5);
  Run();
  EXPECT_TRUE(Waits(1));
  EXPECT_TRUE(Waits(2));
  Start(4);
  Run();
  EXPECT_FALSE(Waits(1) || At(1).result->ok());
  EXPECT_FALSE(Waits(2) || At(2).result->ok());
}

TEST_F(AdmissionTest, ConnectionsOfLearnersAndProxiesStayOpenAndStrangersAreRefused) {
  Create(2);
  Start(1);
  io::Hello peer;
  peer.node_id = 99;
  peer.connection_class = io::ConnectionClass::kRequest;
  EXPECT_NE(At(1).admission->Accept(peer), nullptr);
  peer.connection_class = io::ConnectionClass::kRaft;
  EXPECT_EQ(At(1).admission->Accept(peer), nullptr);
  peer.node_id = 2;
  EXPECT_NE(At(1).admission->Accept(peer), nullptr);
}

}  // namespace
}  // namespace coppice::voter
