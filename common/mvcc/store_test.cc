#include "common/mvcc/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/rocksdb_backend.h"
#include "common/mvcc/testing/harness.h"

namespace coppice::mvcc {
namespace {

using testing::All;
using testing::Between;
using ::testing::ElementsAre;
using testing::Get;
using testing::Harness;
using ::testing::IsEmpty;
using testing::Key;
using testing::Kv;
using testing::MakePut;
using testing::ParseKv;
using testing::ParseKvs;

std::vector<std::string> Keys(const std::vector<Kv>& kvs) {
  std::vector<std::string> keys;
  for (const Kv& kv : kvs) keys.push_back(kv.key);
  return keys;
}

template <typename PlaceType>
class StoreTest : public ::testing::Test {
 protected:
  Harness h{std::make_unique<PlaceType>()};
};
using Places = ::testing::Types<testing::MemoryPlace, testing::RocksDbPlace>;
TYPED_TEST_SUITE(StoreTest, Places);

TYPED_TEST(StoreTest, EmptyStoreIsAtRevisionOne) {
  EXPECT_EQ(this->h.View().revision, 1);
  EXPECT_EQ(this->h.View().applied, Index(0));
  EXPECT_EQ(this->h.Range({.range = All()}).count, 0);
}

TYPED_TEST(StoreTest, PutSetsRevisionsAndVersion) {
  auto& h = this->h;
  EXPECT_EQ(h.Put("a", "1"), 2);
  EXPECT_EQ(h.Put("a", "2"), 3);
  EXPECT_THAT(h.Read(Get("a")), ElementsAre(Kv{"a", "2", 2, 3, 2, 0}));
  EXPECT_THAT(h.Read(Get("a", 2)), ElementsAre(Kv{"a", "1", 2, 2, 1, 0}));
  EXPECT_THAT(h.Read(Get("b")), IsEmpty());
  EXPECT_EQ(h.Delete(Key("a")), 1);
  EXPECT_THAT(h.Read(Get("a")), IsEmpty());
  h.Put("a", "3");
  EXPECT_THAT(h.Read(Get("a")), ElementsAre(Kv{"a", "3", 5, 5, 1, 0}));
}

TYPED_TEST(StoreTest, PutReturnsPreviousAndHonorsIgnoreFlags) {
  auto& h = this->h;
  EXPECT_EQ(h.Apply(PutOp{.key = "a", .ignore_value = true}).error, Error::kKeyNotFound);
  EXPECT_EQ(h.Apply(PutOp{.key = "a", .ignore_lease = true}).error, Error::kKeyNotFound);
  EXPECT_EQ(h.Apply(PutOp{.key = "a", .lease = 7}).error, Error::kLeaseNotFound);
  EXPECT_EQ(h.View().revision, 1);
  EXPECT_EQ(
      std::get<PutResult>(h.Apply(PutOp{.key = "a", .value = "1", .prev_kv = true}).value).prev_kv,
      "");
  const CommandResult result = h.Apply(PutOp{.key = "a", .prev_kv = true, .ignore_value = true});
  EXPECT_EQ(ParseKv(std::get<PutResult>(result.value).prev_kv), (Kv{"a", "1", 2, 2, 1, 0}));
  EXPECT_THAT(h.Read(Get("a")), ElementsAre(Kv{"a", "1", 2, 3, 2, 0}));
}

TYPED_TEST(StoreTest, DeleteOfNothingMakesNoRevision) {
  auto& h = this->h;
  EXPECT_EQ(h.Apply(DeleteOp{.range = All()}).revision, 1);
  h.Put("a", "1");
  h.Put("b", "2");
  h.Put("c", "3");
  const CommandResult result = h.Apply(DeleteOp{.range = Between("a", "c"), .prev_kv = true});
  EXPECT_EQ(result.revision, 5);
  const auto& deleted = std::get<DeleteResult>(result.value);
  EXPECT_EQ(deleted.deleted, 2);
  EXPECT_EQ(deleted.prev_kvs[0], '\x1a');
  EXPECT_EQ(Keys(ParseKvs(deleted.prev_kvs)), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(h.Range({.range = All()}).count, 1);
}

TYPED_TEST(StoreTest, RangeLimitsCountsAndSaysMore) {
  auto& h = this->h;
  for (const char* key : {"a", "b", "c", "d"}) h.Put(key, "v");
  const RangeResult result = h.Range({.range = All(), .limit = 2});
  EXPECT_EQ(Keys(ParseKvs(result.kvs)), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(result.count, 4);
  EXPECT_TRUE(result.more);
  EXPECT_FALSE(h.Range({.range = All(), .limit = 4}).more);
  const RangeResult counted = h.Range({.range = Between("b", "d"), .count_only = true});
  EXPECT_EQ(counted.count, 2);
  EXPECT_EQ(counted.kvs, "");
  h.Delete(Key("a"));
  const RangeResult old = h.Range({.range = All(), .limit = 1, .revision = 5});
  EXPECT_EQ(Keys(ParseKvs(old.kvs)), (std::vector<std::string>{"a"}));
  EXPECT_EQ(old.count, 4);
  EXPECT_TRUE(old.more);
}

TYPED_TEST(StoreTest, RangeSortsAndFilters) {
  auto& h = this->h;
  h.Put("a", "3");  // 2
  h.Put("b", "1");  // 3
  h.Put("c", "2");  // 4
  h.Put("a", "3");  // 5
  const auto keys = [&h](const RangeOp& op) { return Keys(h.Read(op)); };
  using Strings = std::vector<std::string>;
  EXPECT_EQ(keys({.range = All(), .sort_order = SortOrder::kDescend}), (Strings{"c", "b", "a"}));
  EXPECT_EQ(
      keys({.range = All(), .sort_order = SortOrder::kAscend, .sort_target = SortTarget::kValue}),
      (Strings{"b", "c", "a"}));
  EXPECT_EQ(keys({.range = All(),
                  .limit = 1,
                  .sort_order = SortOrder::kDescend,
                  .sort_target = SortTarget::kMod}),
            (Strings{"a"}));
  EXPECT_EQ(
      keys(
          {.range = All(), .sort_order = SortOrder::kDescend, .sort_target = SortTarget::kVersion}),
      (Strings{"a", "b", "c"}));
  // A target without an order: the first limit + 1 keys are fetched, then sorted.
  EXPECT_EQ(keys({.range = All(), .limit = 1, .sort_target = SortTarget::kValue}), (Strings{"b"}));
  EXPECT_EQ(keys({.range = All(), .min_mod_revision = 4}), (Strings{"a", "c"}));
  EXPECT_EQ(keys({.range = All(), .max_create_revision = 3}), (Strings{"a", "b"}));
  const RangeResult filtered = h.Range({.range = All(), .limit = 1, .min_create_revision = 3});
  EXPECT_EQ(filtered.count, 3);
  EXPECT_TRUE(filtered.more);
  const auto bare = h.Read({.range = Key("a"), .keys_only = true});
  EXPECT_THAT(bare, ElementsAre(Kv{"a", "", 2, 5, 2, 0}));
}

TYPED_TEST(StoreTest, RevisionsBeyondOrCompactedAreRefused) {
  auto& h = this->h;
  h.Put("a", "1");
  h.Put("a", "2");
  h.Put("a", "3");
  h.Range(Get("a", 5), Error::kFutureRevision);
  EXPECT_EQ(h.Compact(5), Error::kFutureRevision);
  EXPECT_EQ(h.Compact(3), Error::kNone);
  EXPECT_EQ(h.Compact(3), Error::kCompacted);
  EXPECT_EQ(h.Compact(2), Error::kCompacted);
  EXPECT_EQ(h.View().compact_revision, 3);
  h.Range(Get("a", 2), Error::kCompacted);
  EXPECT_THAT(h.Read(Get("a", 3)), ElementsAre(Kv{"a", "2", 2, 3, 2, 0}));
}

TYPED_TEST(StoreTest, TxnIsOneRevisionAndReadsItsWrites) {
  auto& h = this->h;
  h.Put("a", "1");
  TxnOp txn;
  txn.compares.push_back({.range = Key("a"), .target = CompareTarget::kValue, .value = "1"});
  txn.success.emplace_back(RangeOp{.range = Key("b")});
  txn.success.emplace_back(PutOp{.key = "b", .value = "2"});
  txn.success.emplace_back(RangeOp{.range = Key("b")});
  txn.success.emplace_back(DeleteOp{.range = Key("a")});
  txn.failure.emplace_back(PutOp{.key = "x", .value = "no"});
  const CommandResult result = h.Apply(Command(std::move(txn)));
  const auto& value = std::get<TxnResult>(result.value);
  EXPECT_TRUE(value.succeeded);
  EXPECT_EQ(result.revision, 3);
  EXPECT_EQ(std::get<RangeResult>(value.responses[0]).count, 0);
  EXPECT_EQ(std::get<RangeResult>(value.responses[0]).revision, 2);
  EXPECT_THAT(ParseKvs(std::get<RangeResult>(value.responses[2]).kvs),
              ElementsAre(Kv{"b", "2", 3, 3, 1, 0}));
  EXPECT_EQ(std::get<RangeResult>(value.responses[2]).revision, 3);
  EXPECT_EQ(std::get<DeleteResult>(value.responses[3]).deleted, 1);
  EXPECT_EQ(Keys(h.Read({.range = All()})), (std::vector<std::string>{"b"}));
}

TYPED_TEST(StoreTest, TxnThatIsRefusedChangesNothing) {
  auto& h = this->h;
  h.Put("a", "1");
  h.Put("a", "2");
  h.Compact(3);
  const auto refused = [&h](Op op) {
    TxnOp txn;
    txn.success.emplace_back(PutOp{.key = "b", .value = "2"});
    auto nested = std::make_unique<TxnOp>();
    nested->success.push_back(std::move(op));
    txn.success.emplace_back(std::move(nested));
    return h.Apply(Command(std::move(txn))).error;
  };
  EXPECT_EQ(refused(PutOp{.key = "c", .ignore_value = true}), Error::kKeyNotFound);
  EXPECT_EQ(refused(RangeOp{.range = All(), .revision = 2}), Error::kCompacted);
  EXPECT_EQ(refused(RangeOp{.range = All(), .revision = 4}), Error::kFutureRevision);
  EXPECT_EQ(refused(PutOp{.key = "c", .lease = 1}), Error::kLeaseNotFound);
  EXPECT_EQ(h.View().revision, 3);
  EXPECT_EQ(h.Range({.range = All()}).count, 1);
}

TYPED_TEST(StoreTest, ReadTxnAnswersFromTheView) {
  auto& h = this->h;
  h.Put("a", "1");
  TxnOp txn;
  txn.compares.push_back({.range = Key("none"), .target = CompareTarget::kValue});
  txn.failure.emplace_back(RangeOp{.range = Key("a")});
  ASSERT_TRUE(ReadOnly(txn));
  TxnResult result;
  EXPECT_EQ(h.store().ReadTxn(0, h.View(), txn, result), Error::kNone);
  EXPECT_FALSE(result.succeeded);
  EXPECT_EQ(std::get<RangeResult>(result.responses[0]).count, 1);
}

TYPED_TEST(StoreTest, AlarmsRefuseWhatTheyMust) {
  auto& h = this->h;
  h.Put("a", "1");
  h.Apply(AlarmOp{true, NodeId(7), AlarmType::kNoSpace});
  EXPECT_TRUE(h.store().AlarmActive(AlarmType::kNoSpace));
  EXPECT_EQ(h.Apply(MakePut("b", "2")).error, Error::kNoSpace);
  TxnOp txn;
  txn.failure.emplace_back(PutOp{.key = "b"});
  EXPECT_EQ(h.Apply(Command(std::move(txn))).error, Error::kNoSpace);
  EXPECT_EQ(h.Delete(Key("a")), 1);
  EXPECT_EQ(h.Compact(2), Error::kNone);
  h.store().Flush().IgnoreError();
  h.Reopen();
  EXPECT_THAT(h.store().Alarms(), ElementsAre(std::pair(NodeId(7), AlarmType::kNoSpace)));
  h.Apply(AlarmOp{false, NodeId(7), AlarmType::kNoSpace});
  EXPECT_EQ(h.Put("b", "2"), 4);
  h.Apply(AlarmOp{true, NodeId(1), AlarmType::kCorrupt});
  EXPECT_EQ(h.Apply(DeleteOp{.range = All()}).error, Error::kCorrupt);
}

// etcdctl's `alarm disarm` prints what it is answered.
TYPED_TEST(StoreTest, AnAlarmsResultNamesWhatWasRaisedOrCleared) {
  auto& h = this->h;
  const auto named = [&h](bool activate, AlarmType type) {
    const auto result = std::get<AlarmResult>(h.Apply(AlarmOp{activate, NodeId(7), type}).value);
    return std::pair(result.member, result.type);
  };
  const std::pair none(NodeId(), AlarmType::kNone);
  const std::pair full(NodeId(7), AlarmType::kNoSpace);
  EXPECT_EQ(named(false, AlarmType::kNoSpace), none);
  EXPECT_EQ(named(true, AlarmType::kNoSpace), full);
  EXPECT_EQ(named(true, AlarmType::kNoSpace), full);
  EXPECT_EQ(named(false, AlarmType::kNoSpace), full);
  EXPECT_EQ(named(false, AlarmType::kNoSpace), none);
  EXPECT_EQ(named(true, AlarmType::kNone), none);
}

TYPED_TEST(StoreTest, ReopenFindsWhatWasFlushed) {
  auto& h = this->h;
  h.Put("a", "1");
  h.Put("b", std::string(10000, 'x'));
  h.Apply({}, {{"conf/x", "7"}});
  EXPECT_GT(h.store().unflushed_bytes(), 10000U);
  ASSERT_TRUE(h.store().Flush().ok());
  EXPECT_EQ(h.store().flushed(), Index(2));
  EXPECT_EQ(h.store().unflushed_bytes(), 0U);
  h.Put("a", "2");
  h.Reopen();  // and the last entry is applied again
  EXPECT_EQ(h.store().flushed(), Index(2));
  EXPECT_EQ(h.View().revision, 4);
  EXPECT_EQ(h.View().applied, Index(3));
  EXPECT_EQ(h.store().GetMeta("conf/x"), "7");
  EXPECT_EQ(h.Read(Get("b"))[0].value.size(), 10000U);
  EXPECT_THAT(h.Read(Get("a", 2)), ElementsAre(Kv{"a", "1", 2, 2, 1, 0}));
}

TYPED_TEST(StoreTest, GarbageCollectionKeepsWhatReadsMayAsk) {
  auto& h = this->h;
  h.Put("a", "1");     // 2
  h.Put("a", "2");     // 3
  h.Put("b", "1");     // 4
  h.Delete(Key("b"));  // 5
  h.Put("c", "1");     // 6
  h.Delete(Key("c"));  // 7
  h.Put("a", "3");     // 8
  ASSERT_EQ(h.Compact(7), Error::kNone);
  h.CollectAll();
  EXPECT_EQ(Keys(h.Read({.range = All(), .revision = 7})), (std::vector<std::string>{"a"}));
  EXPECT_THAT(h.Read(Get("a", 7)), ElementsAre(Kv{"a", "2", 2, 3, 2, 0}));
  // The tombstone of the compact revision itself stays for a watch that starts there.
  const auto batches = h.History(7);
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_TRUE(batches[0]->events[0].record->tombstone());
  EXPECT_EQ(batches[0]->events[0].prev, nullptr);
  EXPECT_EQ(batches[1]->events[0].prev->mod_revision(), 3);
  ASSERT_TRUE(h.store().Flush().ok());
  h.Reopen();
  EXPECT_EQ(h.View().compact_revision, 7);
  EXPECT_THAT(h.Read(Get("a", 7)), ElementsAre(Kv{"a", "2", 2, 3, 2, 0}));
  ASSERT_EQ(h.Compact(8), Error::kNone);
  h.CollectAll();
  EXPECT_EQ(h.History(8).size(), 1U);
}

TYPED_TEST(StoreTest, HistoryAndRingTellTheSame) {
  auto& h = this->h;
  h.Put("a", "1");
  TxnOp txn;
  txn.success.emplace_back(PutOp{.key = "a", .value = "2"});
  txn.success.emplace_back(PutOp{.key = "b", .value = "2"});
  h.Apply(Command(std::move(txn)));
  h.Delete(All());
  std::vector<EventBatchPtr> ring;
  ASSERT_TRUE(h.store().EventsFrom(2, 100, ring));
  const auto scanned = h.History(2);
  ASSERT_EQ(ring.size(), 3U);
  ASSERT_EQ(scanned.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ring[i]->revision, scanned[i]->revision);
    ASSERT_EQ(ring[i]->events.size(), scanned[i]->events.size());
    for (std::size_t j = 0; j < ring[i]->events.size(); ++j) {
      const Event& a = ring[i]->events[j];
      const Event& b = scanned[i]->events[j];
      EXPECT_EQ(a.record->encoded(), b.record->encoded());
      ASSERT_EQ(a.prev == nullptr, b.prev == nullptr);
      if (a.prev) {
        EXPECT_EQ(a.prev->encoded(), b.prev->encoded());
      }
    }
  }
  EXPECT_TRUE(h.store().EventsFrom(5, 100, ring));
  h.Compact(3);
  std::vector<EventBatchPtr> none;
  Revision next = 0;
  EXPECT_EQ(h.store().ScanHistory(2, 4, 10, false, none, next), Error::kCompacted);
}

TYPED_TEST(StoreTest, CursorGivesWhatRangeGives) {
  auto& h = this->h;
  for (int i = 0; i < 300; ++i) h.Put("k" + std::to_string(i), std::string(i, 'v'));
  for (const RangeOp& op :
       {RangeOp{.range = All()}, RangeOp{.range = Between("k1", "k3"), .limit = 17},
        RangeOp{.range = All(), .revision = 100}, RangeOp{.range = All(), .keys_only = true},
        RangeOp{.range = All(), .limit = 17, .keys_only = true},
        RangeOp{.range = All(), .min_mod_revision = 50, .max_mod_revision = 250},
        RangeOp{.range = Between("k1", "k3"),
        .limit = 17,
        .keys_only = true,
        .max_create_revision = 200},
        RangeOp{.range = All(), .limit = 5, .sort_order = SortOrder::kDescend}}) {
    const RangeResult whole = h.Range(op);
    auto cursor = h.store().NewCursor(0, op);
    h.store().Quiesce(0, true);
    h.Put("k1", "changed meanwhile");
    EXPECT_EQ(cursor->count(), whole.count);
    EXPECT_EQ(cursor->more(), whole.more);
    EXPECT_EQ(cursor->bytes(), whole.kvs.size());
    std::string kvs;
    while (cursor->Next(1000, kvs)) {
    }
    EXPECT_EQ(kvs, whole.kvs);
  }
}

TYPED_TEST(StoreTest, HashDependsOnTheLogicalStateOnly) {
  auto& h = this->h;
  Harness other(std::make_unique<TypeParam>());
  for (Harness* each : {&h, &other}) {
    for (int i = 0; i < 50; ++i) each->Put("k" + std::to_string(i % 7), std::to_string(i));
    each->Delete(Key("k3"));
    each->Compact(30);
  }
  h.CollectAll();
  for (const Revision revision : {0, 30, 40}) {
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    Revision compact = 0;
    EXPECT_EQ(h.store().HashKv(revision, a, compact), Error::kNone);
    EXPECT_EQ(other.store().HashKv(revision, b, compact), Error::kNone);
    EXPECT_EQ(a, b);
    EXPECT_EQ(compact, 30);
  }
  std::uint32_t hash = 0;
  Revision compact = 0;
  EXPECT_EQ(h.store().HashKv(29, hash, compact), Error::kCompacted);
  EXPECT_EQ(h.store().HashKv(1000, hash, compact), Error::kFutureRevision);
}

TYPED_TEST(StoreTest, BatchReadsVersionsThatItMadeItself) {
  auto& h = this->h;
  TxnOp txn;
  txn.success.emplace_back(RangeOp{.range = Key("a"), .revision = 2});
  std::vector<Command> commands;
  commands.push_back(MakePut("a", "1"));
  commands.push_back(MakePut("a", "2"));
  txn.success.emplace_back(PutOp{.key = "b", .value = "x"});
  commands.emplace_back(std::move(txn));
  const ApplyOutput out = h.Apply(std::move(commands));
  ASSERT_EQ(out.results.size(), 3U);
  EXPECT_EQ(out.events.size(), 3U);
  const auto& value = std::get<TxnResult>(out.results[2].second.value);
  EXPECT_THAT(ParseKvs(std::get<RangeResult>(value.responses[0]).kvs),
              ElementsAre(Kv{"a", "1", 2, 2, 1, 0}));
}

TYPED_TEST(StoreTest, FreshnessIsPublishedWithTheSameState) {
  auto& h = this->h;
  h.Put("a", "1");
  EXPECT_EQ(h.View().fresh_as_of, 0);
  h.store().PublishFresh(42);
  EXPECT_EQ(h.View().fresh_as_of, 42);
  EXPECT_EQ(h.View().revision, 2);
  EXPECT_THAT(h.Read(Get("a")).size(), 1U);
}

TEST(Store, BackendFailureLeavesTheStateAsItWas) {
  auto place = std::make_unique<testing::MemoryPlace>();
  MemoryDisk& disk = place->disk();
  Harness h(std::move(place));
  h.Put("a", "1");
  for (int i = 0; i < 100; ++i) h.Put("k" + std::to_string(i), "v");
  std::vector<EntryPtr> entries;
  const auto first = h.View().applied.value() + 1;
  for (int i = 0; i < 100; ++i) {
    entries.push_back(Entry::Make(Term(1), Index(first + i), RecordKind::kCommand,
                                  EncodeCommand(MakePut("a" + std::to_string(i % 50), "2"))));
  }
  ApplyOutput out;
  disk.SetFailure(MakeStatus(StatusCode::kResourceExhausted, "disk full"));
  EXPECT_EQ(h.store().Apply(entries, {}, out).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(h.View().applied.value(), first - 1);
  EXPECT_EQ(h.Range({.range = All()}).count, 101);
  EXPECT_TRUE(out.results.empty());
  disk.SetFailure(OkStatus());
  ASSERT_TRUE(h.store().Apply(entries, {}, out).ok());
  EXPECT_EQ(h.Range({.range = All()}).count, 151);
  EXPECT_THAT(h.Read({.range = Key("a7")})[0].version, 2);
}

TEST(Store, EntriesItDoesNotKnowAreRefused) {
  Harness h(std::make_unique<testing::MemoryPlace>());
  ApplyOutput out;
  const auto refused = [&](RecordKind kind, std::string_view payload) {
    const std::vector<EntryPtr> entries = {Entry::Make(Term(1), Index(1), kind, payload)};
    return h.store().Apply(entries, {}, out).code() == StatusCode::kFailedPrecondition;
  };
  EXPECT_TRUE(refused(static_cast<RecordKind>(9), ""));
  EXPECT_TRUE(refused(RecordKind::kCommand, "\x63 unknown"));
  EXPECT_FALSE(refused(RecordKind::kNoop, ""));
}

TEST(Store, ForeignAndNewerFormatsAreRefused) {
  auto foreign = std::make_unique<MemoryBackend>();
  ASSERT_TRUE(
      foreign->Apply(std::vector<KvBackend::Write>{{KvBackend::Family::kRev, "x", "y"}}).ok());
  EXPECT_EQ(Store::Open(std::move(foreign), {}).status().code(), StatusCode::kFailedPrecondition);
  auto newer = std::make_unique<MemoryBackend>();
  ASSERT_TRUE(
      newer->Apply(std::vector<KvBackend::Write>{{KvBackend::Family::kMeta, "mvcc/format", "2"}})
          .ok());
  EXPECT_EQ(Store::Open(std::move(newer), {}).status().code(), StatusCode::kFailedPrecondition);
}

TEST(Store, CheckpointHoldsWhatWasApplied) {
  testing::RocksDbPlace place;
  Harness h(std::make_unique<testing::RocksDbPlace>());
  h.Put("a", "1");
  h.Put("b", std::string(5000, 'x'));
  const std::string path = place.NewPath();
  ASSERT_TRUE(CheckpointRocksDb(h.store().backend(), path).ok());
  h.Put("c", "later");
  auto copy = Store::Open(OpenRocksDb(path).value(), {});
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ((*copy)->View(0).applied, Index(2));
  EXPECT_EQ((*copy)->KeyCount(), 2U);
  std::uint32_t ours = 0;
  std::uint32_t theirs = 0;
  Revision compact = 0;
  EXPECT_EQ(h.store().HashKv(3, ours, compact), Error::kNone);
  EXPECT_EQ((*copy)->HashKv(0, theirs, compact), Error::kNone);
  EXPECT_EQ(ours, theirs);
}

TEST(Store, RingForgetsTheOldestFirst) {
  Harness h(std::make_unique<testing::MemoryPlace>(), {.ring_bytes = 2000});
  for (int i = 0; i < 100; ++i) h.Put("k", "v");
  std::vector<EventBatchPtr> out;
  EXPECT_FALSE(h.store().EventsFrom(2, 10, out));
  EXPECT_TRUE(h.store().EventsFrom(101, 10, out));
  EXPECT_EQ(out.size(), 1U);
  EXPECT_EQ(h.History(2).size(), 100U);
}

}  // namespace
}  // namespace coppice::mvcc
