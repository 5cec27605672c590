// Sources and sinks of the log tail in random trees: two voters, relays with small windows, links
// that break, relays that restart, upstreams that stall. Each learner must get every committed
// entry once, in order, and all of them in the end.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/replica/tail_sink.h"
#include "common/replica/tail_source.h"

namespace coppice::replica {
namespace {

constexpr std::uint64_t kCluster = 9;
constexpr int kVoters = 2;

class TailSim {
 public:
  TailSim(std::uint64_t seed, int nodes) : rng_(seed), seed_(seed) {
    log_.push_back(nullptr);
    for (int i = 0; i < nodes; ++i) {
      nodes_.push_back(std::make_unique<Node>());
      Boot(i);
    }
  }

  void Run(Micros faults, Micros calm) {
    At(0, [this] { Commit(); });
    At(10 * kMillisecond, [this] { Fault(); });
    fault_end_ = faults;
    Drain(faults);
    Drain(faults + calm);
    for (std::size_t i = kVoters; i < nodes_.size(); ++i) {
      EXPECT_EQ(nodes_[i]->received, log_.size() - 1) << "seed " << seed_ << " node " << i;
      EXPECT_LE(nodes_[i]->sink->buffered_bytes(), 64U << 10);
    }
  }

  int behind() const { return behind_; }
  int switches() const { return switches_; }
  int wal_reads() const { return wal_reads_; }

 private:
  struct Link {
    int child = 0;
    int parent = 0;
    std::uint64_t sink_link = 0;
    Time last[2] = {0, 0};  // in order each way
  };
  struct Node {
    std::unique_ptr<TailSource> source;
    std::unique_ptr<TailSink> sink;                // none on voters
    std::map<std::uint64_t, std::uint64_t> conns;  // sink link -> connection
    std::uint64_t received = 0;                    // given out to apply
    std::uint64_t applied = 0;
    std::uint64_t life = 0;
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

  Node& At(int i) { return *nodes_[static_cast<std::size_t>(i)]; }
  void At(Time when, std::function<void()> run) {
    events_.push({std::max(when, now_), ++sequence_, std::move(run)});
  }
  void Drain(Time until) {
    while (!events_.empty() && events_.top().at <= until && !testing::Test::HasFailure()) {
      Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.run();
    }
    now_ = until;
  }

  void Boot(int i) {
    Node& node = At(i);
    const bool voter = i < kVoters;
    TailSourceConfig config;
    config.cluster_id = kCluster;
    config.self = NodeId(static_cast<std::uint64_t>(i) + 1);
    config.reads_wal = voter;
    config.window_bytes = static_cast<std::size_t>(rng_.Between(2000, 20000));
    config.frame_bytes_max = 4096;
    node.source = std::make_unique<TailSource>(config);
    ++node.life;
    node.conns.clear();
    // What was applied is flushed only now and then.
    node.received = node.applied -= rng_.Below(node.applied + 1) / 4;
    const Index index(node.received);
    const Term term = node.received == 0 ? Term(0) : log_[node.received]->term();
    StepSource(i, TailSource::Restarted{index, term});
    StepSource(i, TailSource::RoundConfirmed{now_ + 1});
    if (voter) return;
    TailSinkConfig sink;
    sink.cluster_id = kCluster;
    sink.self = config.self;
    sink.buffer_bytes_max = 16U << 10;
    node.sink = std::make_unique<TailSink>(sink, Rng(seed_, rng_.Next()));
    StepSink(i, TailSink::SnapshotInstalled{index, term, 0});
    StepSink(i, TailSink::Candidates{CandidatesFor(i)});
    Apply(i, node.life);
  }
  std::vector<TailSink::Candidate> CandidatesFor(int i) {
    std::vector<TailSink::Candidate> list;
    const int configured = static_cast<int>(rng_.Below(nodes_.capacity() + 1));
    for (int n = 0; n < 8; ++n) {
      if (n == i) continue;
      list.push_back({std::to_string(n), NodeId(static_cast<std::uint64_t>(n) + 1), n < kVoters,
                      n == configured});
    }
    return list;
  }

  void Commit() {
    const std::uint64_t index = log_.size();
    const Term term(1 + index / 500);
    log_.push_back(
        Entry::Make(term, Index(index), RecordKind::kCommand, std::string(rng_.Below(400), 'x')));
    for (int i = 0; i < kVoters; ++i) CatchUpVoter(i);
    if (now_ < fault_end_ + kSecond) At(now_ + rng_.Between(10, 1500), [this] { Commit(); });
  }
  void CatchUpVoter(int i) {
    Node& node = At(i);
    if (now_ < fault_end_ && rng_.Chance(0.3)) return;
    std::vector<EntryPtr> entries(log_.begin() + static_cast<std::ptrdiff_t>(node.received) + 1,
                                  log_.end());
    node.received = node.applied = log_.size() - 1;
    StepSource(i, TailSource::Committed{std::move(entries)});
  }
  // Applies what was received a little at a time, and completes a round now and then.
  void Apply(int i, std::uint64_t life) {
    Node& node = At(i);
    if (node.life != life) return;
    node.applied += std::min<std::uint64_t>(node.received - node.applied, rng_.Below(20));
    StepSink(i, TailSink::Applied{Index(node.applied)});
    if (node.sink->upstream() != 0 && rng_.Chance(now_ < fault_end_ ? 0.02 : 0.1)) {
      StepSink(i, TailSink::RoundCompleted{now_});
      StepSource(i, TailSource::RoundConfirmed{now_});
    }
    At(now_ + rng_.Between(100, 2000), [this, i, life] { Apply(i, life); });
  }

  void Fault() {
    if (now_ >= fault_end_) return;
    const std::uint64_t kind = rng_.Below(10);
    if (kind < 7 && !links_.empty()) {
      auto it = links_.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(rng_.Below(links_.size())));
      Break(it->first);
    } else if (kind < 9) {
      const int i = kVoters + static_cast<int>(rng_.Below(nodes_.size() - kVoters));
      std::vector<std::uint64_t> of_node;
      for (const auto& [conn, link] : links_) {
        if (link.child == i || link.parent == i) of_node.push_back(conn);
      }
      for (const std::uint64_t conn : of_node) Break(conn);
      Boot(i);
    }
    At(now_ + rng_.Between(1, 60) * kMillisecond, [this] { Fault(); });
  }
  void Break(std::uint64_t conn) {
    const auto found = links_.find(conn);
    if (found == links_.end()) return;
    const Link link = found->second;
    links_.erase(found);
    StepSource(link.parent, TailSource::Gone{conn});
    StepSink(link.child, TailSink::ConnectionLost{link.sink_link});
  }

  // In order, each way, while the connection lasts.
  void Send(std::uint64_t conn, int way, std::function<void(const Link&)> deliver) {
    const auto found = links_.find(conn);
    if (found == links_.end()) return;
    Time& last = found->second.last[way];
    last = std::max(last, now_ + rng_.Between(20, 3000));
    At(last, [this, conn, deliver = std::move(deliver)] {
      const auto link = links_.find(conn);
      if (link != links_.end()) deliver(Link(link->second));
    });
  }
  template <typename Message, typename Decode, typename Input>
  void ToSink(std::uint64_t conn, std::string bytes, Decode decode, Input wrap) {
    Send(conn, 0, [this, bytes = std::move(bytes), decode, wrap](const Link& link) {
      Message message;
      ASSERT_TRUE(decode(bytes, message));
      StepSink(link.child, wrap(link.sink_link, std::move(message)));
    });
  }

  void StepSource(int i, const TailSource::Input& input) {
    TailSource::Output out;
    At(i).source->Step(now_, input, out);
    for (auto& send : out.state) {
      ToSink<TailState>(send.conn, EncodeTailState(send.message), DecodeTailState,
                        [](auto link, auto m) {
                          return TailSink::State{link, std::move(m)};
                        });
    }
    for (auto& send : out.entries) {
      ToSink<TailEntries>(send.conn, EncodeTailEntries(send.message), DecodeTailEntries,
                          [](auto link, auto m) {
                            return TailSink::Entries{link, std::move(m)};
                          });
    }
    for (auto& send : out.behind) {
      ++behind_;
      ToSink<TailBehind>(send.conn, EncodeTailBehind(send.message), DecodeTailBehind,
                         [](auto link, auto m) {
                           return TailSink::Behind{link, m};
                         });
    }
    for (auto& send : out.refused) {
      ToSink<TailRefused>(send.conn, EncodeTailRefused(send.message), DecodeTailRefused,
                          [](auto link, auto m) {
                            return TailSink::Refused{link, m};
                          });
    }
    for (const auto& read : out.read_wal) {
      ++wal_reads_;
      At(now_ + rng_.Between(10, 500), [this, i, read] { ReadWal(i, read); });
    }
    Arm(i);
  }
  void ReadWal(int i, const TailSource::ReadWal& read) {
    std::vector<EntryPtr> entries;
    std::size_t bytes = 0;
    for (std::uint64_t n = read.from.value(); n <= read.to.value() && bytes < read.bytes_max; ++n) {
      entries.push_back(log_[n]);
      bytes += log_[n]->record().size();
    }
    StepSource(i, TailSource::WalRead{read.conn, std::move(entries), Index(1)});
  }

  void StepSink(int i, const TailSink::Input& input) {
    Node& node = At(i);
    TailSink::Output out;
    node.sink->Step(now_, input, out);
    for (const std::uint64_t link : out.disconnect) Disconnect(i, link);
    for (const auto& connect : out.connect) Connect(i, connect);
    for (const auto& send : out.subscribe) {
      ++switches_;
      Send(node.conns[send.link], 1, [this, conn = node.conns[send.link], send](const Link& link) {
        StepSource(link.parent, TailSource::Subscribe{conn, send.message});
      });
    }
    for (const auto& send : out.credit) {
      Send(node.conns[send.link], 1, [this, conn = node.conns[send.link], send](const Link& link) {
        StepSource(link.parent, TailSource::Credit{conn, send.bytes});
      });
    }
    for (const EntryPtr& entry : out.apply) {
      ASSERT_EQ(entry->index().value(), node.received + 1) << "seed " << seed_;
      ASSERT_EQ(entry->record(), log_[entry->index().value()]->record());
      ++node.received;
    }
    if (!out.apply.empty()) StepSource(i, TailSource::Committed{out.apply});
    if (out.path) StepSource(i, TailSource::PathChanged{out.path->nodes, out.path->rooted});
    ASSERT_FALSE(out.need_snapshot) << "voters hold the whole log; seed " << seed_;
    Arm(i);
  }
  void Connect(int i, const TailSink::Connect& connect) {
    const std::uint64_t life = At(i).life;
    At(now_ + rng_.Between(50, 3000), [this, i, life, connect] {
      Node& node = At(i);
      if (node.life != life) return;
      const int parent = std::stoi(connect.address);
      if (parent >= static_cast<int>(nodes_.size()) || rng_.Chance(0.1)) {
        return StepSink(i, TailSink::ConnectionLost{connect.link});
      }
      const std::uint64_t conn = ++last_conn_;
      links_[conn] = {i, parent, connect.link, {now_, now_}};
      node.conns[connect.link] = conn;
      StepSource(parent, TailSource::Connected{conn});
      StepSink(i, TailSink::ConnectionUp{connect.link});
    });
  }
  void Disconnect(int i, std::uint64_t sink_link) {
    const auto found = At(i).conns.find(sink_link);
    if (found == At(i).conns.end()) return;
    const std::uint64_t conn = found->second;
    const auto link = links_.find(conn);
    if (link == links_.end()) return;
    const int parent = link->second.parent;
    links_.erase(link);
    At(now_ + rng_.Between(20, 3000),
       [this, parent, conn] { StepSource(parent, TailSource::Gone{conn}); });
  }
  void Arm(int i) {
    Node& node = At(i);
    Time next = node.source->NextDeadline();
    if (node.sink) next = std::min(next, node.sink->NextDeadline());
    if (next == kNever) return;
    const std::uint64_t timer = ++node.timer;
    At(std::max(next, now_ + 1), [this, i, timer] {
      if (At(i).timer != timer) return;
      StepSource(i, TailSource::Timer{});
      if (At(i).sink) StepSink(i, TailSink::Timer{});
    });
  }

  Rng rng_;
  const std::uint64_t seed_;
  Time now_ = 1 * kSecond;
  Time fault_end_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t last_conn_ = 0;
  std::priority_queue<Event> events_;
  std::vector<EntryPtr> log_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::uint64_t, Link> links_;
  int behind_ = 0;
  int switches_ = 0;
  int wal_reads_ = 0;
};

TEST(TailSim, EveryLearnerGetsEachEntryOnceInOrderWhateverBreaks) {
  int behind = 0;
  int switches = 0;
  int wal_reads = 0;
  for (std::uint64_t seed = 1; seed <= 25 && !testing::Test::HasFailure(); ++seed) {
    TailSim sim(seed, 4 + static_cast<int>(seed % 4));
    sim.Run(4 * kSecond, 10 * kSecond);
    behind += sim.behind();
    switches += sim.switches();
    wal_reads += sim.wal_reads();
  }
  EXPECT_GT(behind, 25);
  EXPECT_GT(switches, 250);
  EXPECT_GT(wal_reads, 250);
}

}  // namespace
}  // namespace coppice::replica
