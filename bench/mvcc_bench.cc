// The store's unit costs: index, views, backend, apply, reads of the past,
// catching up, restart.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/entry.h"
#include "common/base/rng.h"
#include "common/mvcc/btree.h"
#include "common/mvcc/rocksdb_backend.h"
#include "common/mvcc/rows.h"
#include "common/mvcc/store.h"

namespace coppice::mvcc {
namespace {

constexpr int kKeys = 1'000'000;
constexpr int kValueBytes = 256;

std::string KeyOf(std::uint64_t i) {
  char key[48];
  std::snprintf(key, sizeof(key), "/registry/key/%010llu", static_cast<unsigned long long>(i));
  return key;
}

RecordPtr RecordOf(std::uint64_t i, Revision revision) {
  static const std::string value(kValueBytes, 'v');
  return Record::Make(
      {.key = KeyOf(i), .value = value, .create = 2, .id = {revision, 0}, .version = 1});
}

void CommitTree(Tree& tree) {
  Garbage garbage;
  tree.Commit(garbage);
  tree.Free(garbage);
}

// One million keys, made once.
Tree& BigTree() {
  static Tree* const tree = [] {
    auto* made = new Tree;
    for (std::uint64_t i = 0; i < kKeys; ++i) {
      made->Put(RecordOf(i * 7919 % kKeys, 2));
      if (i % 4096 == 0) made->Settle();
    }
    CommitTree(*made);
    return made;
  }();
  return *tree;
}

void BM_IndexGet(benchmark::State& state) {
  const Inner& root = *BigTree().root();
  Rng rng(1);
  std::vector<std::string> keys;
  for (int i = 0; i < 1 << 16; ++i) {
    keys.push_back(KeyOf(rng.Below(static_cast<std::uint64_t>(state.range(0)))));
  }
  std::string out;
  std::size_t i = 0;
  for (auto _ : state) {
    out.clear();
    out.append(Find(root, keys[i++ & 0xffff])->record->encoded());
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(BM_IndexGet)->ArgName("keys")->Arg(100)->Arg(kKeys);

// As a turn's reads are served: their ways through the index side by side first.
void BM_IndexGetWarm(benchmark::State& state) {
  const Inner& root = *BigTree().root();
  Rng rng(1);
  std::vector<std::string> keys;
  for (int i = 0; i < 1 << 16; ++i) keys.push_back(KeyOf(rng.Below(kKeys)));
  std::vector<std::string_view> turn(static_cast<std::size_t>(state.range(0)));
  std::string out;
  std::size_t next = 0;
  for (auto _ : state) {
    for (std::string_view& key : turn) key = keys[next++ & 0xffff];
    Warm(root, turn);
    out.clear();
    for (const std::string_view key : turn) out.append(Find(root, key)->record->encoded());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_IndexGetWarm)->Arg(1)->Arg(32);

void BM_IndexCount(benchmark::State& state) {
  const Inner& root = *BigTree().root();
  Rng rng(2);
  for (auto _ : state) {
    const std::string low = KeyOf(rng.Below(kKeys / 2));
    const std::string high = KeyOf(kKeys / 2 + rng.Below(kKeys / 2));
    benchmark::DoNotOptimize(CountBefore(root, high) - CountBefore(root, low));
  }
}
BENCHMARK(BM_IndexCount);

void BM_IndexRange(benchmark::State& state) {
  const Inner& root = *BigTree().root();
  Rng rng(3);
  std::string out;
  for (auto _ : state) {
    out.clear();
    Iterator it(root);
    it.Seek(KeyOf(rng.Below(kKeys - 20'000)));
    for (std::int64_t n = 0; n < state.range(0); ++n, it.Next()) {
      out.append(it.slot().record->encoded());
    }
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(BM_IndexRange)->Arg(10)->Arg(500)->Arg(10'000);

void BM_IndexPut(benchmark::State& state) {
  Tree& tree = BigTree();
  Rng rng(4);
  Revision revision = 100;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      tree.Put(RecordOf(rng.Below(kKeys), ++revision));
    }
    CommitTree(tree);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_IndexPut)->Arg(1)->Arg(64);

// --- A store on RocksDB.

class Dir {
 public:
  Dir() {
    path_ = (std::filesystem::temp_directory_path() / "coppice-bench-XXXXXX").string();
    COPPICE_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~Dir() { std::filesystem::remove_all(path_); }
  std::unique_ptr<KvBackend> Open() const { return OpenRocksDb(path_ + "/db").value(); }
  std::unique_ptr<Store> OpenStore() const { return Store::Open(Open(), {}).value(); }

 private:
  std::string path_;
};

// A store that stalls says so; a benchmark has nothing else to do meanwhile.
template <typename Write>
void UntilTaken(Write&& write) {
  Status status = write();
  while (status.code() == StatusCode::kUnavailable) status = write();
  COPPICE_CHECK(status.ok());
}

class Writer {
 public:
  explicit Writer(Store& store) : store_(store) {}
  void Prepare(std::size_t count, std::uint64_t keys) {
    static const std::string value(kValueBytes, 'v');
    entries_.clear();
    next_ = 0;
    for (std::size_t i = 0; i < count; ++i) {
      entries_.push_back(
          Entry::Make(Term(1), Index(++index_), RecordKind::kCommand,
                      EncodeCommand(PutOp{.key = KeyOf(rng_.Below(keys)), .value = value})));
    }
  }
  bool Ready(std::size_t count) const { return next_ + count <= entries_.size(); }
  void Apply(std::size_t count) {
    UntilTaken([&] { return store_.Apply(std::span(entries_).subspan(next_, count), {}, out_); });
    next_ += count;
  }
  void Fill(std::uint64_t puts, std::uint64_t keys) {
    for (std::uint64_t i = 0; i < puts; i += 64) {
      Prepare(64, keys);
      Apply(64);
    }
    COPPICE_CHECK(store_.Flush().ok());
  }

 private:
  Store& store_;
  Rng rng_{5};
  std::uint64_t index_ = 0;
  std::size_t next_ = 0;
  std::vector<EntryPtr> entries_;
  ApplyOutput out_;
};

Revision RowOf(Rng& rng, std::uint64_t rows) {
  return static_cast<Revision>(1 + rng.Below(rows));
}

std::vector<KvBackend::Write> RowsFrom(Revision first, std::int64_t count) {
  static const std::string value(kValueBytes + 40, 'v');
  std::vector<KvBackend::Write> writes;
  for (std::int64_t i = 0; i < count; ++i) {
    writes.push_back({KvBackend::Family::kRev, RowKey({first + i, 0}), value});
  }
  return writes;
}

void FillBackend(KvBackend& backend, std::uint64_t rows) {
  for (Revision row = 1; row <= static_cast<Revision>(rows); row += 64) {
    const std::vector<KvBackend::Write> batch = RowsFrom(row, 64);
    UntilTaken([&] { return backend.Apply(batch); });
  }
  COPPICE_CHECK(backend.Flush().ok());
}

void BM_ViewAcquire(benchmark::State& state) {
  const Dir dir;
  const auto store = dir.OpenStore();
  for (auto _ : state) {
    benchmark::DoNotOptimize(&store->View(0));
    store->Quiesce(0, false);
  }
}
BENCHMARK(BM_ViewAcquire);

void BM_ViewPublish(benchmark::State& state) {
  const Dir dir;
  const auto store = dir.OpenStore();
  Time now = 0;
  for (auto _ : state) store->PublishFresh(++now);
}
BENCHMARK(BM_ViewPublish);

void BM_BackendPut(benchmark::State& state) {
  const Dir dir;
  const auto backend = dir.Open();
  Revision row = 1;
  for (auto _ : state) {
    const std::vector<KvBackend::Write> batch = RowsFrom(row, state.range(0));
    UntilTaken([&] { return backend->Apply(batch); });
    row += state.range(0);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_BackendPut)->Arg(1)->Arg(64);

void BM_BackendGet(benchmark::State& state) {
  const Dir dir;
  const auto backend = dir.Open();
  constexpr std::uint64_t kRows = 200'000;
  FillBackend(*backend, kRows);
  Rng rng(6);
  std::string value;
  for (auto _ : state) {
    COPPICE_CHECK(
        backend->Get(KvBackend::Family::kRev, RowKey({RowOf(rng, kRows), 0}), value).ok());
  }
}
BENCHMARK(BM_BackendGet);

void BM_ApplyPut(benchmark::State& state) {
  const Dir dir;
  const auto store = dir.OpenStore();
  Writer writer(*store);
  writer.Fill(100'000, 100'000);
  const auto batch = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    if (!writer.Ready(batch)) {
      state.PauseTiming();
      writer.Prepare(1 << 14, 100'000);
      state.ResumeTiming();
    }
    writer.Apply(batch);
    if (store->unflushed_bytes() > 32U << 20) COPPICE_CHECK(store->Flush().ok());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ApplyPut)->Arg(1)->Arg(64);

// Uniform keys, each written twice on average: about half of the reads need the backend.
void BM_GetOldRevision(benchmark::State& state) {
  const Dir dir;
  const auto store = dir.OpenStore();
  Writer(*store).Fill(200'000, 100'000);
  Rng rng(6);
  RangeOp op;
  op.revision = 100'000;
  RangeResult result;
  for (auto _ : state) {
    op.range = KeyRange::FromWire(KeyOf(rng.Below(100'000)), "");
    result.kvs.clear();
    COPPICE_CHECK(store->Range(0, store->View(0), op, result) == Error::kNone);
    store->Quiesce(0, false);
  }
}
BENCHMARK(BM_GetOldRevision);

void BM_CatchUpScan(benchmark::State& state) {
  const Dir dir;
  const auto store = dir.OpenStore();
  Writer(*store).Fill(200'000, 100'000);
  Revision next = 2;
  std::int64_t rows = 0;
  for (auto _ : state) {
    std::vector<EventBatchPtr> batches;
    COPPICE_CHECK(store->ScanHistory(next, 200'000, 1000, false, batches, next) == Error::kNone);
    rows += static_cast<std::int64_t>(batches.size());
    if (next > 199'000) next = 2;
  }
  state.SetItemsProcessed(rows);
}
BENCHMARK(BM_CatchUpScan);

void BM_Restart(benchmark::State& state) {
  const Dir dir;
  {
    const auto store = dir.OpenStore();
    Writer(*store).Fill(static_cast<std::uint64_t>(state.range(0)), kKeys);
  }
  for (auto _ : state) {
    auto store = dir.OpenStore();
    benchmark::DoNotOptimize(store->KeyCount());
    state.PauseTiming();
    store.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(BM_Restart)->Arg(0)->Arg(kKeys)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace coppice::mvcc
