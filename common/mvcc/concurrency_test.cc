// Readers on other loops while the writer applies, compacts, collects garbage and flushes. The
// writer keeps a few keys equal in every revision; a reader that sees a torn or freed state
// notices, and so do ThreadSanitizer and AddressSanitizer.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/mvcc/testing/harness.h"

namespace coppice::mvcc {
namespace {

using testing::Between;
using testing::Harness;
using testing::Kv;
using testing::ParseKvs;

constexpr int kEqualKeys = 8;
constexpr int kRounds = 3000;
constexpr int kReaders = 3;

void ExpectEqualKeys(std::string_view framed, Revision at_least) {
  const std::vector<Kv> kvs = ParseKvs(framed);
  ASSERT_EQ(kvs.size(), kEqualKeys);
  for (const Kv& kv : kvs) {
    ASSERT_EQ(kv.value, kvs[0].value);
    ASSERT_EQ(kv.mod, kvs[0].mod);
    ASSERT_GE(kv.mod, at_least);
  }
}

class Concurrency : public ::testing::Test {
 protected:
  void Write(int round) {
    TxnOp txn;
    for (int i = 0; i < kEqualKeys; ++i) {
      txn.success.emplace_back(
          PutOp{.key = "equal/" + std::to_string(i), .value = std::to_string(round)});
    }
    std::vector<Command> commands;
    commands.emplace_back(std::move(txn));
    const std::string other = "other/" + std::to_string(round % 700);
    if (round % 3 == 0) {
      commands.emplace_back(DeleteOp{.range = testing::Key(other)});
    } else {
      commands.push_back(testing::MakePut(other, "v"));
    }
    if (round % 50 == 49) commands.emplace_back(CompactOp{last_ - 20});
    last_ = h_.Apply(std::move(commands)).results.back().second.revision;
    h_.store().CollectGarbage();
    if (round % 10 == 0) h_.store().PublishFresh(round);
    if (round % 100 == 0) {
      ASSERT_TRUE(h_.store().Flush().ok());
    }
  }

  void Read(int loop) {
    Store& store = h_.store();
    Revision seen = 0;
    for (int turn = 0; !done_; ++turn) {
      const ReadView& view = store.View(loop);
      ASSERT_GE(view.revision, seen);
      seen = view.revision;
      const RangeOp op{.range = Between("equal/", "equal0")};
      RangeResult now;
      ASSERT_EQ(store.Range(loop, view, op, now), Error::kNone);
      ExpectEqualKeys(now.kvs, 2);
      ReadOld(loop, view);
      if (turn % 16 == 0) ReadSlowly(loop);
      if (turn % 16 == 8) Follow(seen);
      store.Quiesce(loop, turn % 2 == 0);
    }
    store.Quiesce(loop, true);
  }

  void ReadOld(int loop, const ReadView& view) {
    const Revision revision = std::max(view.revision - 15, view.compact_revision);
    if (revision < 10) return;
    RangeResult old;
    const RangeOp op{.range = Between("equal/", "equal0"), .revision = revision};
    ASSERT_EQ(h_.store().Range(loop, view, op, old), Error::kNone);
    ExpectEqualKeys(old.kvs, 2);
  }

  void ReadSlowly(int loop) {
    const auto cursor = h_.store().NewCursor(loop, {.range = Between("equal/", "equal0")});
    std::string kvs;
    do {
      h_.store().Quiesce(loop, true);
      std::this_thread::yield();
    } while (cursor->Next(1, kvs));
    ASSERT_EQ(kvs.size(), cursor->bytes());
    ExpectEqualKeys(kvs, 2);
    h_.store().View(loop);
  }

  void Follow(Revision seen) {
    std::vector<EventBatchPtr> batches;
    Revision next = seen;
    const Error error = h_.store().ScanHistory(seen - 5, seen, 100, true, batches, next);
    if (error == Error::kNone && seen > 10) {
      ASSERT_EQ(next, seen + 1);
    }
    if (h_.store().EventsFrom(seen, 10, batches)) {
      ASSERT_EQ(batches.back()->events.empty(), false);
    }
    std::uint32_t hash = 0;
    Revision compact = 0;
    ASSERT_EQ(h_.store().HashKv(0, hash, compact), Error::kNone);
  }

  Harness h_{std::make_unique<testing::MemoryPlace>(),
             {.ring_bytes = 100'000, .loops = 1 + kReaders}};
  std::atomic<bool> done_{false};
  Revision last_ = 1;
};

TEST_F(Concurrency, ReadersSeeWholeRevisionsWhileTheWriterGoesOn) {
  for (int round = 0; round < 20; ++round) Write(round);
  std::vector<std::thread> readers;
  for (int loop = 1; loop <= kReaders; ++loop) readers.emplace_back([this, loop] { Read(loop); });
  for (int round = 20; round < kRounds; ++round) Write(round);
  done_ = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace coppice::mvcc
