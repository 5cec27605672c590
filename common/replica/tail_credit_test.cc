// What a learner that applies nothing holds of the log.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/replica/tail_sink.h"
#include "common/replica/tail_source.h"

namespace coppice::replica {
namespace {

constexpr std::uint64_t kCluster = 9;
constexpr std::size_t kBuffer = 10'000;
constexpr std::size_t kEntry = 100;

// An upstream and a learner, wired without delay. Connections are named by the sink's link.
struct Pair {
  Pair() : source({kCluster, NodeId(1), true}), sink({kCluster, NodeId(50), kBuffer}, Rng(1)) {
    Step(TailSource::PathChanged{{NodeId(1)}, true});
    Step(TailSink::Candidates{{{"a", NodeId(0), false, true}}});
  }

  void Step(const TailSource::Input& input) {
    TailSource::Output out;
    source.Step(now, input, out);
    for (const auto& send : out.state) Step(TailSink::State{send.conn, send.message});
    for (const auto& send : out.entries) Step(TailSink::Entries{send.conn, send.message});
  }
  void Step(const TailSink::Input& input) {
    TailSink::Output out;
    sink.Step(now, input, out);
    for (const auto& connect : out.connect) {
      link = connect.link;
      Step(TailSink::ConnectionUp{link});
      Step(TailSource::Connected{link});
    }
    for (const auto& send : out.subscribe) Step(TailSource::Subscribe{send.link, send.message});
    for (const auto& send : out.credit) Step(TailSource::Credit{send.link, send.bytes});
    for (const EntryPtr& entry : out.apply) {
      held += entry->record().size();
      last = entry->index();
    }
  }
  void Commit(std::uint64_t count) {
    std::vector<EntryPtr> entries;
    for (std::uint64_t i = 0; i < count; ++i) {
      entries.push_back(Entry::Make(Term(1), ++index, RecordKind::kCommand,
                                    std::string(kEntry - kRecordHeaderSize, 'v')));
    }
    Step(TailSource::Committed{std::move(entries)});
  }
  void Reconnect() {
    Step(TailSource::Gone{link});
    Step(TailSink::ConnectionLost{link});
    Pass();
  }
  void Pass() {
    for (int i = 0; i < 200; ++i) {
      now += 50 * kMillisecond;
      if (now >= source.NextDeadline()) Step(TailSource::Timer{});
      if (now >= sink.NextDeadline()) Step(TailSink::Timer{});
      Step(TailSink::RoundCompleted{now});
    }
  }

  Time now = 1000 * kSecond;
  TailSource source;
  TailSink sink;
  std::uint64_t link = 0;
  Index index;
  Index last;
  std::size_t held = 0;  // given out to apply, and not applied
};

TEST(TailCredit, ALearnerThatAppliesNothingHoldsNoMoreThanItsBuffer) {
  Pair pair;
  for (int round = 0; round < 20; ++round) {
    pair.Commit(100);
    pair.Pass();
    if (round % 3 == 2) pair.Reconnect();
    EXPECT_EQ(pair.sink.buffered_bytes(), pair.held);
    EXPECT_LE(pair.held, kBuffer + kEntry);
  }
  EXPECT_GE(pair.held, kBuffer);
  // Once it applies again, it gets the rest.
  while (pair.last < pair.index) {
    const Index before = pair.last;
    pair.held = 0;
    pair.Step(TailSink::Applied{pair.last});
    pair.Pass();
    ASSERT_GT(pair.last, before);
  }
}

}  // namespace
}  // namespace coppice::replica
