// Random trees of read gates over a network that delays, loses, duplicates and reorders, with a
// stub for the leader's raft core. Checks what a reader may rely on, in true time.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/replica/read_gate.h"
#include "common/replica/read_queue.h"

namespace coppice::replica {
namespace {

constexpr int kLoops = 2;

struct Read {
  ReadNode node;
  Time arrived = 0;
  std::uint64_t commit_at_arrival = 0;
  int at = 0;
};

struct SimOptions {
  std::uint64_t seed = 1;
  std::vector<int> parents = {-1};  // of each node; node 0 is the leader
  double loss = 0;
  double duplicate = 0;
  double refuse = 0;
  Micros delay_max = 300;
  Micros switch_every = 0;  // upstream switches; 0 = none
  Micros duration = 2 * kSecond;
  Micros read_every = 50;
};

class GateSim {
 public:
  explicit GateSim(const SimOptions& options) : options_(options), rng_(options.seed) {
    for (std::size_t i = 0; i < options_.parents.size(); ++i) {
      ReadGateConfig config;
      config.boot_nonce = options_.seed * 1000 + i;
      config.gap_max = static_cast<Micros>(rng_.Below(2)) * 500;
      nodes_.push_back(std::make_unique<Node>(config, options_.parents[i]));
      nodes_.back()->clock_offset = rng_.Between(1, 1000) * kSecond;
    }
  }

  void Run() {
    commits_.push_back({0, 1});
    At(0, [this] { Commit(); });
    for (int i = 0; i < Size(); ++i) {
      At(0, [this, i] { LinkUp(i); });
      At(rng_.Between(0, 1000), [this, i] { Apply(i); });
    }
    At(10, [this] { Arrive(); });
    if (options_.switch_every > 0) At(options_.switch_every, [this] { Switch(); });
    Drain(options_.duration);
    healed_ = true;
    Drain(options_.duration + 5 * kSecond);
    EXPECT_EQ(done_, arrived_) << "seed " << options_.seed << ": every read is answered at last";
  }

  int leader_rounds() const { return leader_rounds_; }
  int leader_out_max() const { return leader_out_max_; }
  int done() const { return done_; }
  int early() const { return bounded_; }

 private:
  struct Node {
    Node(const ReadGateConfig& config, int up) : gate(config), parent(up) {}
    ReadGate gate;
    int parent;
    std::uint64_t link = 0;  // to the parent; also the child connection's name there
    ReadQueue queues[kLoops] = {ReadQueue(1), ReadQueue(1)};
    Time clock_offset = 0;
    std::uint64_t applied = 0;
    Time fresh = 0;
    std::uint64_t timer = 0;
  };
  struct Event {
    Time at;
    std::uint64_t sequence;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return std::pair(at, sequence) > std::pair(other.at, other.sequence);
    }
  };

  int Size() const { return static_cast<int>(nodes_.size()); }
  Node& At(int i) { return *nodes_[static_cast<std::size_t>(i)]; }
  void At(Time when, std::function<void()> run) {
    events_.push({std::max(when, now_), ++sequence_, std::move(run)});
  }
  void Drain(Time until) {
    while (!events_.empty() && events_.top().at <= until) {
      Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.run();
    }
  }
  std::uint64_t CommitAt(Time t) const {
    const auto after = std::upper_bound(commits_.begin(), commits_.end(), std::pair(t, UINT64_MAX));
    return after == commits_.begin() ? 0 : std::prev(after)->second;
  }
  std::uint64_t CommitNow() const { return commits_.back().second; }

  // Delivers, or loses, or delivers twice, each copy with its own delay: order is lost too.
  void Send(std::function<void()> deliver) {
    if (!healed_ && rng_.Chance(options_.loss)) return;
    const int copies = !healed_ && rng_.Chance(options_.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; ++i) At(now_ + rng_.Between(1, options_.delay_max), deliver);
  }

  void Commit() {
    commits_.push_back({now_, CommitNow() + 1});
    if (now_ < options_.duration) At(now_ + rng_.Between(1, 400), [this] { Commit(); });
  }
  void Apply(int i) {
    Node& node = At(i);
    node.applied = std::max(node.applied, CommitAt(now_ - rng_.Between(0, 5000)));
    if (healed_) node.applied = CommitNow();
    Step(i, ReadGate::Applied{Index(node.applied)});
    At(now_ + rng_.Between(50, 2000), [this, i] { Apply(i); });
  }
  void LinkUp(int i) {
    At(i).link = ++last_link_;
    Step(i, ReadGate::UpstreamUp{});
  }
  void Switch() {
    if (healed_ || Size() < 3) return;
    const int i = static_cast<int>(rng_.Below(nodes_.size() - 1)) + 1;
    const std::uint64_t old = At(i).link;
    const int parent = At(i).parent;
    Step(i, ReadGate::UpstreamDown{});
    At(i).link = 0;
    At(now_ + rng_.Between(1, 2000),
       [this, parent, old] { Step(parent, ReadGate::ChildGone{old}); });
    At(i).parent = static_cast<int>(rng_.Below(static_cast<std::uint64_t>(i)));  // no loops
    At(now_ + rng_.Between(1, 20000), [this, i] { LinkUp(i); });
    At(now_ + options_.switch_every, [this] { Switch(); });
  }

  void Arrive() {
    auto read = std::make_unique<Read>();
    const int i = static_cast<int>(rng_.Below(nodes_.size()));
    const int loop = static_cast<int>(rng_.Below(kLoops));
    Consistency& wanted = read->node.consistency;
    wanted.mode = static_cast<ReadMode>(rng_.Below(3));
    if (wanted.mode == ReadMode::kBounded) wanted.max_staleness = rng_.Between(100, 200000);
    if (rng_.Chance(0.2)) {
      wanted.min_revision = static_cast<Revision>(CommitNow() + rng_.Below(3));
    }
    read->arrived = now_;
    read->commit_at_arrival = CommitNow();
    read->at = i;
    ++arrived_;
    Node& node = At(i);
    const ReadVerdict verdict = node.queues[loop].Admit(Local(node), View(node), read->node);
    Read* raw = read.get();
    reads_.push_back(std::move(read));
    if (verdict == ReadVerdict::kQueued) {
      At(now_ + rng_.Between(0, 50), [this, i, loop] { EndTurn(i, loop); });
    } else {
      Check(node, *raw, verdict);
    }
    if (now_ < options_.duration) {
      At(now_ + rng_.Between(1, 2 * options_.read_every), [this] { Arrive(); });
    }
  }
  void EndTurn(int i, int loop) {
    const int slot = At(i).queues[loop].Close();
    if (slot < 0) return;
    At(now_ + rng_.Between(0, 30), [this, i, loop, slot] {
      Step(i, ReadGate::LocalWaiting{loop, slot});
    });
  }

  Time Local(const Node& node) const { return now_ + node.clock_offset; }
  ViewFacts View(const Node& node) const {
    return {static_cast<Revision>(node.applied), node.fresh};
  }

  void Check(const Node& node, const Read& read, ReadVerdict verdict) {
    ++done_;
    const Consistency& wanted = read.node.consistency;
    const auto minimum = static_cast<std::uint64_t>(wanted.min_revision);
    if (verdict == ReadVerdict::kFutureRevision) {
      EXPECT_GT(minimum, read.commit_at_arrival) << "seed " << options_.seed;
      return;
    }
    ASSERT_EQ(verdict, ReadVerdict::kServe);
    EXPECT_GE(node.applied, minimum);
    EXPECT_NE(node.fresh, 0);
    if (wanted.mode == ReadMode::kLinearizable) {
      ASSERT_GE(node.applied, read.commit_at_arrival) << "seed " << options_.seed;
    }
    if (wanted.max_staleness.has_value()) {
      ++bounded_;
      ASSERT_GE(node.applied, CommitAt(read.arrived - *wanted.max_staleness))
          << "seed " << options_.seed;
    }
  }

  void Step(int i, const ReadGate::Input& input) {
    Node& node = At(i);
    ReadGate::Output out;
    node.gate.Step(Local(node), input, out);
    if (out.publish_fresh) node.fresh = *out.publish_fresh;
    for (int loop = 0; loop < kLoops; ++loop) {
      node.queues[loop].OnView(Local(node), View(node), Answer(node));
    }
    for (const auto& serve : out.serve) {
      EXPECT_GE(node.applied, serve.index.value());
      At(now_ + rng_.Between(0, 30), [this, i, serve] {
        Node& n = At(i);
        n.queues[serve.loop].Done(serve.slot, View(n), Answer(n));
        EndTurn(i, serve.loop);
      });
    }
    for (const auto& answer : out.answer) {
      Send([this, answer] {
        ToChild(answer.child, ReadGate::UpstreamAnswer{answer.child_id, answer.index});
      });
    }
    for (const auto& refuse : out.refuse) {
      Send([this, refuse] { ToChild(refuse.child, ReadGate::UpstreamRefused{refuse.child_id}); });
    }
    for (const auto& send : out.send) SendUp(i, send);
    Arm(i);
  }
  std::function<void(ReadNode&, ReadVerdict)> Answer(const Node& node) {
    return [this, &node](ReadNode& read, ReadVerdict verdict) {
      // ReadNode is Read's first member.
      Check(node, *reinterpret_cast<Read*>(&read), verdict);
    };
  }
  void ToChild(std::uint64_t link, const ReadGate::Input& input) {
    for (int i = 1; i < Size(); ++i) {
      if (At(i).link == link) Step(i, input);
    }
  }
  void SendUp(int i, const ReadGate::SendRound& round) {
    Node& node = At(i);
    if (i != 0) {
      const std::uint64_t link = node.link;
      const int parent = node.parent;
      Send([this, parent, link, round] {
        Step(parent, ReadGate::ChildRound{link, round.id, round.relaxed});
      });
      return;
    }
    ++leader_rounds_;
    leader_out_max_ = std::max(leader_out_max_, node.gate.rounds_out());
    if (!healed_ && rng_.Chance(options_.refuse)) {
      At(now_ + 1, [this, round] { Step(0, ReadGate::UpstreamRefused{round.id}); });
      return;
    }
    const std::uint64_t commit = CommitNow();  // noted when the quorum round begins
    Send([this, round, commit] { Step(0, ReadGate::UpstreamAnswer{round.id, Index(commit)}); });
  }
  void Arm(int i) {
    Node& node = At(i);
    const Time local = node.gate.NextDeadline();
    if (local == kNever) return;
    const std::uint64_t timer = ++node.timer;
    At(std::max(local - node.clock_offset, now_ + 1), [this, i, timer] {
      if (At(i).timer == timer) Step(i, ReadGate::Timer{});
    });
  }

  const SimOptions options_;
  Rng rng_;
  Time now_ = 0;
  std::uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
  std::vector<std::pair<Time, std::uint64_t>> commits_;
  std::vector<std::unique_ptr<Read>> reads_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::uint64_t last_link_ = 0;
  bool healed_ = false;
  int arrived_ = 0;
  int done_ = 0;
  int bounded_ = 0;
  int leader_rounds_ = 0;
  int leader_out_max_ = 0;
};

TEST(GateSim, AnswersAreLinearizableAndBoundsHoldOverACalmTree) {
  SimOptions options;
  options.parents = {-1, 0, 1, 2, 2, 1};
  GateSim sim(options);
  sim.Run();
  EXPECT_GT(sim.done(), 10000);
  EXPECT_GT(sim.early(), 1000);
}

TEST(GateSim, LossDuplicationReorderingRefusalsAndSwitchesNeverMakeAReadStale) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SimOptions options;
    options.seed = seed;
    Rng rng(seed, 9);
    const std::uint64_t nodes = 2 + rng.Below(7);
    for (std::uint64_t i = 1; i < nodes; ++i) {
      options.parents.push_back(static_cast<int>(rng.Below(i)));
    }
    options.loss = rng.Unit() * 0.2;
    options.duplicate = rng.Unit() * 0.3;
    options.refuse = rng.Unit() * 0.1;
    options.delay_max = rng.Between(50, 20000);
    options.switch_every = rng.Between(5000, 100000);
    options.duration = 500 * kMillisecond;
    options.read_every = 100;
    GateSim sim(options);
    sim.Run();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(GateSim, TenLearnersBelowOneRelayCostTheLeaderOneRoundAtATime) {
  SimOptions options;
  options.parents = {-1, 0};
  for (int i = 0; i < 10; ++i) options.parents.push_back(1);
  options.duration = 1 * kSecond;
  options.read_every = 10;
  GateSim sim(options);
  sim.Run();
  EXPECT_GT(sim.done(), 90000);
  EXPECT_LE(sim.leader_out_max(), kGateSlots);
  EXPECT_LT(sim.leader_rounds(), 22000) << "rounds do not grow with reads or learners";
}

}  // namespace
}  // namespace coppice::replica
