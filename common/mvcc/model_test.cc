// Random operations on the store and on a naive model of it, compared at every step, through
// compactions, garbage collection, flushes and crashes.
// COPPICE_MVCC_OPS and COPPICE_MVCC_SEEDS ask for longer runs.

#include "common/mvcc/testing/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/testing/generator.h"
#include "common/mvcc/testing/harness.h"

namespace coppice::mvcc {
namespace {

using testing::Describe;
using testing::Generator;
using testing::Harness;
using testing::Model;
using testing::ToKv;

int FromEnv(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}

class Comparison {
 public:
  Comparison(std::unique_ptr<testing::Place> place, std::uint64_t seed)
      : generator_(seed, 6000), harness_(std::move(place), {.ring_bytes = 200'000}) {}

  void Run(int operations) {
    while (operations > 0 && !::testing::Test::HasFatalFailure()) {
      operations -= ApplyBatch();
      CompareRead();
      if (rng().Chance(0.3)) harness_.store().CollectGarbage();
      if (rng().Chance(0.05)) CompareCursor();
      if (rng().Chance(0.05)) CompareRing();
      if (rng().Chance(0.02)) CompareHistory();
      if (rng().Chance(0.01)) {
        ASSERT_TRUE(harness_.store().Flush().ok());
      }
      if (rng().Chance(0.001)) harness_.Reopen();
    }
    harness_.Reopen();
    CompareHistory();
    CompareAll();
  }

 private:
  Rng& rng() { return generator_.rng(); }
  Revision AnyRevision() {
    return rng().Between(std::max<Revision>(model_.compact_revision(), 1), model_.revision());
  }

  int ApplyBatch() {
    const int size = static_cast<int>(rng().Between(1, 12));
    std::vector<Command> commands;
    std::vector<std::string> expected;
    for (int i = 0; i < size; ++i) {
      commands.push_back(generator_.NextCommand(model_.revision(), model_.compact_revision()));
      expected.push_back(Describe(model_.Apply(commands.back())));
    }
    if (rng().Chance(0.02)) harness_.FailNextApply();
    const ApplyOutput out = harness_.Apply(std::move(commands));
    EXPECT_EQ(out.results.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(Describe(out.results[i].second), expected[i]);
    }
    for (const EventBatchPtr& batch : out.events) CompareBatch(*batch, true);
    EXPECT_EQ(harness_.View().revision, model_.revision());
    EXPECT_EQ(harness_.View().compact_revision, model_.compact_revision());
    harness_.store().Quiesce(0, true);
    return size;
  }

  void CompareRead() {
    const RangeOp op = generator_.NextRange(model_.revision(), model_.compact_revision());
    RangeResult expected;
    RangeResult actual;
    const Error error = model_.Range(op, expected);
    ASSERT_EQ(harness_.store().Range(0, harness_.View(), op, actual), error);
    if (error == Error::kNone) {
      ASSERT_EQ(Describe(actual), Describe(expected));
    }
    harness_.store().Quiesce(0, true);
  }

  // The cursor gives the state of when it was made.
  void CompareCursor() {
    const RangeOp op = generator_.NextRange(model_.revision(), model_.compact_revision());
    RangeResult expected;
    const Error error = model_.Range(op, expected);
    const auto cursor = harness_.store().NewCursor(0, op);
    harness_.store().Quiesce(0, true);
    ASSERT_EQ(cursor->error(), error);
    if (error != Error::kNone) return;
    RangeResult actual;
    actual.revision = cursor->revision();
    actual.count = cursor->count();
    actual.more = cursor->more();
    for (bool going = true; going;) {
      going = cursor->Next(100, actual.kvs);
      ApplyBatch();
      harness_.store().CollectGarbage();
    }
    ASSERT_EQ(Describe(actual), Describe(expected));
    ASSERT_EQ(cursor->bytes(), expected.kvs.size());
  }

  void CompareBatch(const EventBatch& batch, bool with_prev) {
    const auto& changes = model_.At(batch.revision);
    ASSERT_EQ(batch.events.size(), changes.size());
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const Event& event = batch.events[i];
      ASSERT_EQ(ToKv(*event.record), changes[i].kv);
      ASSERT_EQ(event.record->tombstone(), changes[i].kv.version == 0);
      ASSERT_EQ(static_cast<bool>(event.prev), with_prev && changes[i].prev.has_value());
      if (event.prev) {
        ASSERT_EQ(ToKv(*event.prev), *changes[i].prev);
      }
    }
  }

  void CompareRing() {
    const Revision from = AnyRevision() + 1;
    std::vector<EventBatchPtr> batches;
    if (!harness_.store().EventsFrom(from, 1000, batches)) return;
    Revision next = from;
    for (const EventBatchPtr& batch : batches) {
      ASSERT_EQ(batch->revision, next++);
      CompareBatch(*batch, true);
    }
    ASSERT_TRUE(next == model_.revision() + 1 || batches.size() == 1000);
  }

  void CompareHistory() {
    const bool with_prev = rng().Chance(0.5);
    Revision next = std::max<Revision>(AnyRevision(), 2);
    const Revision to = rng().Between(next, model_.revision());
    Revision expected = next;
    while (next <= to) {
      std::vector<EventBatchPtr> batches;
      ASSERT_EQ(harness_.store().ScanHistory(next, to, 50, with_prev, batches, next), Error::kNone);
      for (const EventBatchPtr& batch : batches) {
        ASSERT_EQ(batch->revision, expected++);
        CompareBatch(*batch, with_prev && batch->revision > model_.compact_revision());
      }
      ASSERT_EQ(next, expected);
    }
    std::vector<EventBatchPtr> none;
    ASSERT_EQ(
        harness_.store().ScanHistory(model_.compact_revision() - 1, to, 50, with_prev, none, next),
        Error::kCompacted);
  }

  void CompareAll() {
    for (const Revision revision : {Revision{0}, AnyRevision(), AnyRevision()}) {
      const RangeOp op{.range = testing::All(), .revision = revision};
      RangeResult expected;
      ASSERT_EQ(model_.Range(op, expected), Error::kNone);
      ASSERT_EQ(Describe(harness_.Range(op)), Describe(expected));
    }
  }

  Generator generator_;
  Harness harness_;
  Model model_;
};

TEST(ModelMemory, StoreDoesWhatTheModelDoes) {
  const int seeds = FromEnv("COPPICE_MVCC_SEEDS", 1);
  for (int seed = 1; seed <= seeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Comparison(std::make_unique<testing::MemoryPlace>(), static_cast<std::uint64_t>(seed))
        .Run(FromEnv("COPPICE_MVCC_OPS", 100'000));
  }
}

TEST(ModelRocksDb, StoreDoesWhatTheModelDoes) {
  const int seeds = FromEnv("COPPICE_MVCC_SEEDS", 1);
  for (int seed = 1; seed <= seeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Comparison(std::make_unique<testing::RocksDbPlace>(), static_cast<std::uint64_t>(seed))
        .Run(FromEnv("COPPICE_MVCC_OPS", 10'000));
  }
}

}  // namespace
}  // namespace coppice::mvcc
