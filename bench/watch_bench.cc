// The watch path: matching, delivery to watchers, memory of idle ones.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/api/watch_session.h"
#include "common/base/coding.h"
#include "common/mvcc/record.h"
#include "common/mvcc/store.h"
#include "common/node/allocator.h"
#include "common/replica/watch_hub.h"

namespace coppice {
namespace {

// A socket's place: what is written is copied and forgotten.
class Sink final : public api::WatchOut {
 public:
  Sink() { buffer_.reserve(1U << 16); }
  void Write(std::span<const std::string_view> pieces) override {
    if (buffer_.size() > (1U << 15)) buffer_.clear();
    for (const std::string_view piece : pieces) buffer_.append(piece);
    ++messages;
  }
  std::size_t unsent_bytes() const override { return 0; }
  void WantPoll() override {}
  std::uint64_t messages = 0;

 private:
  std::string buffer_;
};

std::string KeyOf(int i) {
  return "/registry/pods/" + std::to_string(i);
}

std::string CreateMessage(const std::string& key) {
  std::string create;
  PutBytesField(create, 1, key);
  std::string out;
  PutBytesField(out, 1, create);
  return out;
}

mvcc::EventBatchPtr Put(const std::string& key, Revision revision) {
  static const std::string value(256, 'v');
  auto batch = std::make_shared<mvcc::EventBatch>();
  batch->revision = revision;
  batch->events.push_back(
      {mvcc::Record::Make(
           {.key = key, .value = value, .create = revision, .id = {revision, 0}, .version = 1}),
       nullptr});
  return batch;
}

// Streams with watchers on one hub.
class Bench {
 public:
  Bench(int streams, int watchers_each, bool one_key) : hub_({}, 1, 0), header_(7, 8) {
    int key = 0;
    for (int i = 0; i < streams; ++i) {
      sinks_.push_back(std::make_unique<Sink>());
      sessions_.push_back(std::make_unique<api::WatchSession>(api::WatchSessionOptions{}, hub_,
                                                              header_, *sinks_.back(), 0));
      for (int j = 0; j < watchers_each; ++j) Create(*sessions_.back(), KeyOf(one_key ? 0 : key++));
    }
  }
  ~Bench() { sessions_.clear(); }
  replica::WatchHub& hub() { return hub_; }
  std::uint64_t delivered() const {
    std::uint64_t sum = 0;
    for (const auto& sink : sinks_) sum += sink->messages;
    return sum;
  }

 private:
  static void Create(api::WatchSession& session, const std::string& key) {
    session.OnMessage(0, CreateMessage(key));
    for (const auto& admission : session.TakeAdmissions()) {
      session.OnAdmitted(0, admission.ticket, OkStatus(), 0);
    }
  }

  replica::WatchHub hub_;
  api::WatchHeader header_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::vector<std::unique_ptr<api::WatchSession>> sessions_;
};

// Which groups hold a key, among as many single keys as the argument says and a tenth of ranges.
void BM_WatchMatch(benchmark::State& state) {
  std::vector<std::string> keys;
  for (int i = 0; i < 1024; ++i) keys.push_back(KeyOf(i * 11));
  std::size_t next = 0;
  replica::WatchIndex index;
  for (int i = 0; i < state.range(0); ++i) {
    index.FindOrAdd(mvcc::KeyRange::FromWire(KeyOf(i), ""), {}, false);
    if (i % 10 == 0) {
      index.FindOrAdd(mvcc::KeyRange::FromWire(KeyOf(i), KeyOf(i) + "~"), {}, false);
    }
  }
  std::uint64_t found = 0;
  for (auto _ : state) {
    index.ForEachMatch(keys[next++ % keys.size()], [&](replica::WatchGroup&) { ++found; });
  }
  benchmark::DoNotOptimize(found);
}
BENCHMARK(BM_WatchMatch)->Arg(10'000);

// One key, 10,000 watchers; the time is per event delivered, from batch to the copy of its bytes.
void Deliver(benchmark::State& state, int streams, int watchers_each) {
  Bench bench(streams, watchers_each, true);
  Revision revision = 1;
  const std::uint64_t before = bench.delivered();
  for (auto _ : state) bench.hub().OnBatch(Put(KeyOf(0), ++revision));
  const auto delivered = static_cast<double>(bench.delivered() - before);
  state.counters["per_event"] =
      benchmark::Counter(delivered, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
void BM_WatchDeliverShared(benchmark::State& state) {
  Deliver(state, 1, 10'000);
}
BENCHMARK(BM_WatchDeliverShared)->Name("BM_WatchDeliver/shared");
void BM_WatchDeliverOwn(benchmark::State& state) {
  Deliver(state, 10'000, 1);
}
BENCHMARK(BM_WatchDeliverOwn)->Name("BM_WatchDeliver/own_stream");

// Heap per idle watcher of one key on a shared stream, the session's share included.
void BM_IdleWatcherBytes(benchmark::State& state) {
  for (auto _ : state) {
    const std::size_t before = node::AllocatedByThread();
    const Bench bench(1, 10'000, true);
    state.counters["bytes"] = static_cast<double>(node::AllocatedByThread() - before) / 10'000;
  }
}
BENCHMARK(BM_IdleWatcherBytes)->Iterations(1);

}  // namespace
}  // namespace coppice
