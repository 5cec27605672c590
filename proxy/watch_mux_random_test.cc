// Everything at once, against the model.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/mvcc/testing/watch_model.h"
#include "proxy/watch_test_sink.h"
#include "proxy/watch_world.h"

namespace coppice::proxy {
namespace {

using mvcc::KeyRange;
using mvcc::WatchModel;

class RandomMux {
 public:
  explicit RandomMux(std::uint64_t seed)
      : rng_(seed),
        world_(3, {.ring_bytes = 100 + rng_.Below(2000),
                   .rings_bytes = 500 + rng_.Below(8000),
                   .credit = 100,
                   .cohort_revisions = 10}) {
    world_.scatter = seed << 32;
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      Step();
      CheckProgress();
    }
    Heal();
    for (const auto& sink : sinks_) CheckFinal(*sink);
  }

 private:
  void Step() {
    world_.now += static_cast<Micros>(rng_.Below(10'000));
    const std::uint64_t pick = rng_.Below(100);
    if (pick < 20) {
      Commit();
    } else if (pick < 50) {
      Frames();
    } else if (pick < 62) {
      Learner();
    } else if (pick < 67) {
      Create();
    } else if (pick < 80) {
      OpenSome();
    } else if (pick < 88) {
      Slow();
    } else if (pick < 90) {
      Connections();
    } else if (pick < 91) {
      CloseOne();
    } else if (pick < 92 && rng_.Chance(0.2)) {
      world_.compact = rng_.Between(world_.compact, world_.model.revision());
    } else {
      world_.mux.Poll(world_.now);
    }
  }

  std::string RandomKey() { return std::string(1, static_cast<char>('a' + rng_.Below(4))); }

  void Commit() {
    std::vector<WatchModel::Write> writes;
    std::set<std::string> keys;
    for (std::uint64_t n = 1 + rng_.Below(3); n > 0; --n) {
      std::string key = RandomKey();
      if (!keys.insert(key).second) continue;
      std::optional<std::string> value = "v" + std::to_string(++values_);
      if (rng_.Chance(0.3)) value = std::nullopt;
      writes.push_back({std::move(key), std::move(value)});
    }
    world_.model.Commit(writes);
  }
  ConnectionId AnyLink() {
    auto it = world_.links.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng_.Below(world_.links.size())));
    return it->first;
  }
  void Frames() {
    if (world_.links.empty()) return;
    const ConnectionId id = AnyLink();
    for (std::uint64_t n = rng_.Below(6); n > 0; --n) world_.ServerTurn(*world_.links.at(id));
    for (std::uint64_t n = rng_.Below(20); n > 0; --n) world_.ProxyFrame(id);
    world_.mux.Poll(world_.now);
  }
  void Learner() {
    Backend& backend = *world_.backends[rng_.Below(world_.backends.size())];
    if (rng_.Chance(0.5)) {
      world_.Apply(backend, backend.hub.revision() + rng_.Between(1, 6));
    } else if (rng_.Chance(0.5)) {
      world_.AskHistory(backend);
    } else {
      world_.AnswerHistory(backend, 1 + rng_.Below(5));
    }
  }
  void Create() {
    auto sink = std::make_unique<TestSink>();
    const std::string key = RandomKey();
    sink->spec.range = KeyRange::FromWire(key, rng_.Chance(0.5) ? "" : "d");
    if (sink->spec.range.Empty()) return;
    sink->spec.filters = {rng_.Chance(0.2), rng_.Chance(0.2)};
    sink->spec.prev_kv = rng_.Chance(0.3);
    sink->spec.start = rng_.Chance(0.4) ? 0 : rng_.Between(1, world_.model.revision() + 4);
    if (rng_.Chance(0.2)) sink->spec.min_revision = world_.model.revision();
    if (rng_.Chance(0.2)) sink->floor = world_.model.revision();
    if (rng_.Chance(0.3)) sink->room = 1 + rng_.Below(5);
    sink->watcher = world_.mux.Prepare(sink->spec, *sink);
    sinks_.push_back(std::move(sink));
  }
  void OpenSome() {
    for (const auto& sink : sinks_) {
      if (sink->opened_at == 0 && sink->ready && sink->watcher != nullptr && rng_.Chance(0.7)) {
        world_.mux.TryOpen(*sink->watcher);
      }
    }
  }
  TestSink* Pick() { return sinks_.empty() ? nullptr : sinks_[rng_.Below(sinks_.size())].get(); }
  void Slow() {
    TestSink* sink = Pick();
    if (sink == nullptr) return;
    if (sink->writable && rng_.Chance(0.3)) {
      sink->writable = false;
      sink->blocked_since = world_.now;
    } else if (!sink->writable) {
      Release(*sink, rng_.Chance(0.5) ? UINT64_MAX : 1 + rng_.Below(5));
    }
  }
  void Release(TestSink& sink, std::uint64_t room) {
    sink.writable = true;
    sink.room = room;
    world_.mux.Drained(sink);
  }
  void Connections() {
    if (!world_.links.empty() && rng_.Chance(0.5)) {
      if (rng_.Chance(0.3)) {
        world_.rounds[AnyLink()] = world_.now;
        world_.mux.OnStale(world_.now, AnyLink());
      } else {
        world_.Cut(AnyLink());
      }
      return;
    }
    world_.Connect(rng_.Below(world_.backends.size()));
    world_.mux.OnBackendUp(world_.now);
  }
  void CloseOne() {
    if (sinks_.empty()) return;
    const std::size_t at = rng_.Below(sinks_.size());
    if (sinks_[at]->watcher != nullptr) world_.mux.Close(*sinks_[at]->watcher);
    sinks_.erase(sinks_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void CheckProgress() {
    TestSink* sink = Pick();
    if (sink == nullptr || sink->watcher == nullptr || sink->opened_at == 0) return;
    const Revision complete = world_.mux.Complete(*sink->watcher);
    if (complete == 0) return;
    EXPECT_EQ(sink->events, world_.model.Expected(sink->spec, sink->start, complete));
  }
  bool Done() {
    for (const auto& sink : sinks_) {
      if (sink->watcher == nullptr) continue;
      if (sink->opened_at == 0) return false;
      if (world_.mux.Complete(*sink->watcher) < world_.model.revision() &&
          sink->start <= world_.model.revision()) {
        return false;
      }
    }
    return true;
  }
  void Heal() {
    if (world_.links.empty()) world_.Connect(0);
    world_.mux.OnBackendUp(world_.now);
    for (int round = 0; round < 200; ++round) {
      for (const auto& sink : sinks_) {
        if (!sink->writable) Release(*sink, UINT64_MAX);
        if (sink->opened_at == 0 && sink->watcher != nullptr) world_.mux.TryOpen(*sink->watcher);
      }
      world_.Settle();
      if (Done()) return;
    }
    ADD_FAILURE() << "some watcher never reached the final revision";
  }
  void CheckFinal(const TestSink& sink) {
    if (!sink.canceled) {
      EXPECT_EQ(sink.events, world_.model.Expected(sink.spec, sink.start, world_.model.revision()));
      return;
    }
    EXPECT_GT(sink.compact_revision, 0) << "canceled only by compaction";
    EXPECT_LE(sink.compact_revision, world_.compact);
    EXPECT_EQ(sink.events, world_.model.Expected(sink.spec, sink.start, sink.last_revision));
  }

  Rng rng_;
  World world_;
  std::vector<std::unique_ptr<TestSink>> sinks_;
  int values_ = 0;
};

TEST(WatchMuxRandom, EveryWatcherGetsWhatTheModelSays) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    RandomMux(seed).Run(1500);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace coppice::proxy
