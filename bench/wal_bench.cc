#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/io/posix_disk.h"
#include "common/wal/wal.h"

namespace coppice::wal {
namespace {

constexpr std::uint64_t kLogBytesMax = 256U << 20;
constexpr std::size_t kPayloadBytes = 128;

// A log in a directory of its own (below TMPDIR), begun anew when it has grown large.
class BenchLog {
 public:
  BenchLog() {
    std::string name = (std::filesystem::temp_directory_path() / "wal_bench_XXXXXX").string();
    COPPICE_CHECK(mkdtemp(name.data()) != nullptr);
    directory_ = name;
    Begin();
  }
  BenchLog(const BenchLog&) = delete;
  BenchLog& operator=(const BenchLog&) = delete;
  ~BenchLog() {
    wal_.reset();
    std::filesystem::remove_all(directory_);
  }

  Wal& wal() { return *wal_; }
  bool full() const { return wal_->bytes() > kLogBytesMax; }

  void Begin() {
    wal_.reset();
    std::filesystem::remove_all(directory_);
    Recovered recovered;
    auto opened = Wal::Open(
        disk_, directory_, WalOptions(), [](const EntryPtr&) {}, recovered);
    COPPICE_CHECK(opened.ok());
    wal_ = std::move(opened).value();
  }

  std::vector<EntryPtr> Next(std::int64_t count) const {
    static const std::string payload(kPayloadBytes, 'p');
    std::vector<EntryPtr> entries;
    for (std::int64_t i = 0; i < count; ++i) {
      entries.push_back(Entry::Make(Term(1), wal_->last_index() + 1 + static_cast<std::uint64_t>(i),
                                    RecordKind::kCommand, payload));
    }
    return entries;
  }

 private:
  io::PosixDisk disk_;
  std::string directory_;
  std::unique_ptr<Wal> wal_;
};

// Each append rewrites the same entries, so that making them is not measured.
void BM_WalAppend(benchmark::State& state) {
  BenchLog log;
  const std::vector<EntryPtr> entries = log.Next(state.range(0));
  for (auto _ : state) {
    COPPICE_CHECK(log.wal().Append(entries, std::nullopt).ok());
    if (log.full()) {
      state.PauseTiming();
      log.Begin();
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WalAppend)->Arg(64);

// A group commit: one append, one fdatasync.
void BM_WalSync(benchmark::State& state) {
  BenchLog log;
  const std::vector<EntryPtr> entries = log.Next(state.range(0));
  for (auto _ : state) {
    COPPICE_CHECK(log.wal().Append(entries, std::nullopt).ok());
    COPPICE_CHECK(log.wal().Sync().ok());
    if (log.full()) {
      state.PauseTiming();
      log.Begin();
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WalSync)->Arg(64)->UseRealTime();

}  // namespace
}  // namespace coppice::wal
