#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <string>

#include "common/base/rng.h"
#include "common/client/core.h"

// A cluster that lags, loses, refuses, hangs and goes away, and a client of it: the core's promises
// hold for each seed.

namespace coppice::client {
namespace {

constexpr std::uint64_t kCluster = 0xc0;
constexpr Time kEnd = 90 * kSecond;
constexpr Time kHealed = 40 * kSecond;
constexpr int kWatches = 6;

// One seed. Revision r has 1 + r % 3 events.
class Model {
 public:
  explicit Model(std::uint64_t seed)
      : rng_(seed),
        servers_(1 + rng_.Below(4)),
        core_(Options(servers_.size(), rng_), Rng(seed, 2)),
        calm_(rng_.Between(3, 20)) {}

  void Run() {
    At(0, [this] { Write(); });
    for (std::size_t i = 0; i < servers_.size(); ++i) At(0, [this, i] { Replicate(i); });
    for (int i = 0; i < 6; ++i) At(rng_.Below(kSecond), [this] { NewRequest(); });
    At(kHealed + 10 * kSecond, [this] {
      quiet_ = true;
      for (const auto& [id, mine] : mine_) expected_last_[id] = revision_;
    });
    while (now_ < kEnd && !events_.empty()) {
      const Time wake = core_.NextDeadline();
      if (wake <= events_.begin()->first.first) {
        now_ = std::max(now_, wake);
        Step(Timer{});
        continue;
      }
      auto next = events_.extract(events_.begin());
      now_ = next.key().first;
      next.mapped()();
    }
  }

  void CheckEnd() const {
    for (const auto& [id, mine] : mine_) {
      if (mine.kind != Kind::kWatch) {
        EXPECT_TRUE(mine.finished) << "request " << id << " never ended";
      } else if (!mine.finished && expected_last_.contains(id)) {
        EXPECT_TRUE(mine.opened) << "watch " << id;
        EXPECT_GE(mine.through, expected_last_.at(id)) << "watch " << id << " stands still";
      }
      if (mine.kind != Kind::kMutation) continue;
      EXPECT_LE(mine.executed, 1) << "mutation " << id << " was done twice";
      if (mine.outcome == Outcome::kOk) {
        EXPECT_EQ(mine.executed, 1) << "mutation " << id;
      } else if (mine.outcome == Outcome::kNotDone) {
        EXPECT_EQ(mine.executed, 0) << "mutation " << id;
      }
    }
  }

  std::uint64_t trace() const { return trace_; }
  int finished_ok() const { return finished_ok_; }
  int resumed() const { return resumed_; }
  int unknown() const { return unknown_; }

 private:
  struct Mine {
    Kind kind = Kind::kRead;
    Revision seen_before = 0;  // the highest revision delivered before it began
    Time deadline = kNever;
    std::uint32_t attempt = 0;  // of the newest Send that is not abandoned; 0: none
    int executed = 0;
    bool finished = false;
    Outcome outcome = Outcome::kOk;
    bool opened = false;
    Revision through = 0;        // of a watch: all up to this was delivered
    std::vector<Revision> held;  // mod revisions of the replies not delivered yet
  };
  struct Server {
    bool up = true;
    Revision applied = 0;
  };

  static CoreOptions Options(std::size_t servers, Rng& rng) {
    CoreOptions options;
    options.endpoints = servers;
    options.prefer = rng.Chance(0.5) ? Prefer::kInOrder : Prefer::kLeastBusy;
    options.attempt_timeout = rng.Between(100, 1000) * kMillisecond;
    return options;
  }

  void At(Time when, std::function<void()> what) {
    events_.emplace(std::pair(std::max(when, now_), ++sequence_), std::move(what));
  }
  Time Later() { return now_ + rng_.Between(100, 5 * kMillisecond); }
  bool Bad() { return now_ < kHealed && rng_.Below(static_cast<std::uint64_t>(calm_)) == 0; }

  void Write() {
    if (!quiet_) ++revision_;
    At(now_ + rng_.Between(1, 60) * kMillisecond, [this] { Write(); });
  }
  void Replicate(std::size_t i) {
    Server& server = servers_[i];
    if (Bad()) server.up = !server.up;
    if (now_ >= kHealed) server.up = true;
    if (!Bad()) server.applied = std::max(server.applied, revision_ - rng_.Between(0, 3));
    if (quiet_) server.applied = revision_;
    At(now_ + rng_.Between(1, 200) * kMillisecond, [this, i] { Replicate(i); });
  }

  void NewRequest() {
    Begin begin{.id = ++last_id_};
    const std::uint64_t draw = rng_.Below(20);
    begin.kind = draw == 0 && watches_++ < kWatches ? Kind::kWatch
                 : draw < 8                         ? Kind::kMutation
                                                    : Kind::kRead;
    if (begin.kind == Kind::kWatch && rng_.Chance(0.5)) {
      begin.watch_start = rng_.Between(1, revision_ + 1);
    }
    // Without an elsewhere, a read that hangs ends by its deadline alone.
    if (begin.kind != Kind::kWatch && (servers_.size() == 1 || rng_.Chance(0.8))) {
      begin.deadline = now_ + rng_.Between(1, 3000) * kMillisecond;
    }
    Mine& mine = mine_[begin.id];
    mine.kind = begin.kind;
    mine.deadline = begin.deadline;
    mine.seen_before = seen_;
    Step(begin);
    if (begin.kind == Kind::kMutation && rng_.Below(30) == 0) Step(CancelRequest{begin.id});
    if (now_ < kHealed) {
      At(now_ + rng_.Between(1, 100) * kMillisecond, [this] { NewRequest(); });
    }
  }

  void Step(const Input& input) {
    Effects effects;
    core_.Step(now_, input, effects);
    for (const Effect& effect : effects) {
      trace_ = Mix64(trace_ ^ effect.index() ^ static_cast<std::uint64_t>(now_));
      std::visit([this](const auto& one) { Do(one); }, effect);
    }
  }

  void Do(const Send& send) {
    Mine& mine = mine_[send.id];
    EXPECT_FALSE(mine.finished);
    EXPECT_EQ(mine.attempt, 0u) << "one attempt at a time";
    mine.attempt = send.attempt;
    mine.held.clear();
    if (mine.kind == Kind::kWatch && mine.opened) ++resumed_;
    const std::string min = MinRevision(send.metadata);
    EXPECT_GE(std::atoll(min.c_str()), mine.seen_before);
    if (!servers_[send.endpoint].up || Bad()) {
      const bool sent = servers_[send.endpoint].up && rng_.Chance(0.5);
      return Fail(send, sent ? "Socket closed" : "refused", !sent, true);
    }
    At(Later(), [this, send] { Arrive(send); });
  }

  void Arrive(const Send& send) {
    switch (mine_[send.id].kind) {
      case Kind::kRead:
        return ServeRead(send);
      case Kind::kMutation:
        return ServeMutation(send);
      case Kind::kWatch:
        return ServeCreate(send);
    }
  }

  void ServeRead(const Send& send) {
    Server& server = servers_[send.endpoint];
    if (Bad()) return Fail(send, "etcdserver: leader changed", false, false);
    if (Bad()) return;  // hangs
    if (server.applied < std::atoll(MinRevision(send.metadata).c_str())) {
      if (Live(send)) At(Later(), [this, send] { ServeRead(send); });
      return;
    }
    const Revision revision = server.applied;
    At(Later(), [this, send, revision] {
      if (!Live(send)) return;
      EXPECT_GE(revision, mine_[send.id].seen_before) << "read " << send.id;
      seen_ = std::max(seen_, revision);
      Step(Answered{send.id, send.attempt, {kCluster, revision}});
    });
  }

  // A mutation reaches the leader whether its client still waits or not.
  void ServeMutation(const Send& send) {
    if (Bad()) return Fail(send, "etcdserver: no leader", false, false);
    if (Bad()) return Fail(send, "parked until it timed out", true, false);
    const bool lost = Bad();
    if (lost && rng_.Chance(0.5)) return Fail(send, "etcdserver: request timed out", false, false);
    At(Later() + (Bad() ? kSecond : 0), [this, send, lost] {
      ++mine_[send.id].executed;
      const Revision revision = ++revision_;
      if (lost) return Fail(send, "Socket closed", false, true);
      At(Later(), [this, send, revision] {
        if (!Live(send)) return;
        seen_ = std::max(seen_, revision);
        Step(Answered{send.id, send.attempt, {kCluster, revision}});
      });
    });
  }

  void ServeCreate(const Send& send) {
    const Server& server = servers_[send.endpoint];
    if (!Live(send) || Bad()) return;
    if (server.applied < std::atoll(MinRevision(send.metadata).c_str())) {
      return At(Later(), [this, send] { ServeCreate(send); });
    }
    WatchReply created;
    created.header = {kCluster, server.applied};
    created.created = true;
    const Revision next = send.watch_start != 0 ? send.watch_start : server.applied + 1;
    Receive(send, created, {});
    At(Later(), [this, send, next] { Stream(send, next); });
  }

  // The next revision, or progress, or a break.
  void Stream(const Send& send, Revision next) {
    if (!Live(send)) return;
    if (Bad()) return Fail(send, "Socket closed", false, true);
    const Revision applied = servers_[send.endpoint].applied;
    WatchReply reply;
    reply.header = {kCluster, std::max(applied, next - 1)};
    if (next > applied) {
      if (rng_.Chance(0.3)) Receive(send, reply, {});
      return At(Later(), [this, send, next] { Stream(send, next); });
    }
    reply.last_event = next;
    const std::vector<Revision> all(static_cast<std::size_t>(1 + next % 3), next);
    if (all.size() > 1 && rng_.Chance(0.3)) {
      reply.fragment = true;
      Receive(send, reply, {next});
      if (Bad()) return Fail(send, "Socket closed", false, true);
      reply.fragment = false;
      Receive(send, reply, {all.begin() + 1, all.end()});
    } else {
      Receive(send, reply, all);
    }
    At(Later(), [this, send, next] { Stream(send, next + 1); });
  }

  void Receive(const Send& send, const WatchReply& reply, const std::vector<Revision>& events) {
    if (!Live(send)) return;
    Mine& mine = mine_[send.id];
    mine.held.insert(mine.held.end(), events.begin(), events.end());
    Step(WatchReceived{send.id, send.attempt, reply});
    if (!reply.fragment) mine.held.clear();
  }

  bool Live(const Send& send) { return mine_[send.id].attempt == send.attempt; }

  void Fail(const Send& send, const char* message, bool not_sent, bool unreached) {
    At(Later(), [this, send, message, not_sent, unreached] {
      if (!Live(send)) return;
      mine_[send.id].attempt = 0;
      Step(Failed{send.id, send.attempt, MakeStatus(StatusCode::kUnavailable, message), not_sent,
                  unreached});
    });
  }

  void Do(const Abandon& abandon) {
    EXPECT_EQ(mine_[abandon.id].attempt, abandon.attempt);
    mine_[abandon.id].attempt = 0;
  }
  void Do(const WatchOpened& opened) {
    Mine& mine = mine_[opened.id];
    EXPECT_FALSE(mine.opened);
    EXPECT_TRUE(mine.through == 0);
    mine.opened = true;
    mine.through = opened.revision;
  }
  void Do(const WatchDeliver& deliver) {
    Mine& mine = mine_[deliver.id];
    EXPECT_TRUE(mine.opened);
    std::map<Revision, int> events;
    for (const Revision revision : mine.held) {
      if (revision >= deliver.from) ++events[revision];
    }
    for (Revision revision = mine.through + 1; revision <= deliver.through; ++revision) {
      EXPECT_EQ(events[revision], 1 + revision % 3)
          << "watch " << deliver.id << ", revision " << revision << " is not whole";
      events.erase(revision);
    }
    EXPECT_TRUE(events.empty()) << "watch " << deliver.id << ": a repeat";
    mine.through = std::max(mine.through, deliver.through);
    seen_ = std::max(seen_, deliver.through);
  }
  void Do(const Finish& finish) {
    Mine& mine = mine_[finish.id];
    EXPECT_FALSE(mine.finished) << "request " << finish.id << " ended twice";
    EXPECT_LE(now_, mine.deadline);
    EXPECT_EQ(finish.status.ok(), finish.outcome == Outcome::kOk);
    mine.finished = true;
    mine.attempt = 0;
    mine.outcome = finish.outcome;
    if (finish.outcome == Outcome::kOk) ++finished_ok_;
    if (finish.outcome == Outcome::kUnknown) ++unknown_;
  }

  static std::string MinRevision(const Metadata& metadata) {
    for (const auto& [key, value] : metadata) {
      if (key == "coppice-min-revision") return value.substr(value.find('/') + 1);
    }
    return "0";
  }

  Rng rng_;
  std::vector<Server> servers_;
  Core core_;
  const std::int64_t calm_;
  Time now_ = 0;
  std::uint64_t sequence_ = 0;
  std::map<std::pair<Time, std::uint64_t>, std::function<void()>> events_;
  std::map<RequestId, Mine> mine_;
  std::map<RequestId, Revision> expected_last_;
  RequestId last_id_ = 0;
  Revision revision_ = 1;
  Revision seen_ = 0;
  bool quiet_ = false;
  std::uint64_t trace_ = 0;
  int watches_ = 0;
  int finished_ok_ = 0;
  int resumed_ = 0;
  int unknown_ = 0;
};

TEST(ClientCoreRandom, KeepsItsPromisesForEachSeed) {
  int resumed = 0;
  int unknown = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    model.Run();
    model.CheckEnd();
    EXPECT_GT(model.finished_ok(), 50) << "too little was done";
    resumed += model.resumed();
    unknown += model.unknown();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(resumed, 400);
  EXPECT_GT(unknown, 100);
}

TEST(ClientCoreRandom, TheSameSeedGivesTheSameTrace) {
  Model one(99);
  Model two(99);
  one.Run();
  two.Run();
  EXPECT_EQ(one.trace(), two.trace());
}

}  // namespace
}  // namespace coppice::client
