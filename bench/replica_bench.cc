// Unit costs of the read gate and the log tail (no sockets, no threads).

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/entry.h"
#include "common/replica/read_gate.h"
#include "common/replica/read_queue.h"
#include "common/replica/replica_wire.h"
#include "common/replica/tail_source.h"

namespace coppice::replica {
namespace {

// A batch of linearizable reads: admitted, closed, asked, answered, served. Time per read.
void BM_GateBatch(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  std::vector<ReadNode> reads(batch);
  ReadQueue queue(1);
  ReadGateConfig config;
  config.boot_nonce = 1;
  config.gap_max = 0;
  ReadGate gate(config);
  ReadGate::Output out;
  Time now = 1 * kSecond;
  Index applied(5);
  gate.Step(now, ReadGate::UpstreamUp{}, out);
  gate.Step(now, ReadGate::Applied{applied}, out);
  gate.Step(now, ReadGate::UpstreamAnswer{out.send[0].id, applied}, out);
  std::size_t served = 0;
  for (auto _ : state) {
    now += 100;
    for (ReadNode& read : reads) {
      read.deadline = now + 7 * kSecond;
      queue.Admit(now, {5, now}, read);
    }
    out.Clear();
    gate.Step(now, ReadGate::LocalWaiting{0, queue.Close()}, out);
    const std::uint64_t id = out.send.back().id;
    gate.Step(now + 50, ReadGate::UpstreamAnswer{id, applied}, out);
    for (const auto& serve : out.serve) {
      queue.Done(serve.slot, {5, serve.fresh_as_of}, [&](ReadNode& read, ReadVerdict) {
        benchmark::DoNotOptimize(&read);
        ++served;
      });
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(served));
}
BENCHMARK(BM_GateBatch)->Arg(1)->Arg(128);

// One committed batch to ten subscribers: effects and encoded frames. Time per entry and
// subscriber.
void BM_TailFanOut(benchmark::State& state) {
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  TailSource source({1, NodeId(1), true, 1U << 20});
  TailSource::Output out;
  Time now = 1 * kSecond;
  for (std::uint64_t conn = 1; conn <= 10; ++conn) {
    source.Step(now, TailSource::Connected{conn}, out);
    source.Step(now,
                TailSource::Subscribe{conn, {1, NodeId(50 + conn), Index(0), Term(0), 1ULL << 40}},
                out);
  }
  std::uint64_t index = 0;
  const std::string payload(300, 'x');
  std::size_t bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<EntryPtr> entries;
    for (std::uint64_t i = 0; i < batch; ++i) {
      entries.push_back(Entry::Make(Term(1), Index(++index), RecordKind::kCommand, payload));
    }
    now += 10 * kMillisecond;
    out.Clear();
    state.ResumeTiming();
    source.Step(now, TailSource::Committed{std::move(entries)}, out);
    for (const auto& send : out.entries) bytes += EncodeTailEntries(send.message).size();
  }
  benchmark::DoNotOptimize(bytes);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch) * 10);
}
BENCHMARK(BM_TailFanOut)->Arg(1)->Arg(64);

}  // namespace
}  // namespace coppice::replica
