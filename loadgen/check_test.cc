#include "loadgen/check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "loadgen/check_keys.h"
#include "loadgen/check_script.h"

namespace coppice::loadgen {
namespace {

constexpr Micros kBound = Script::kBound;

CheckReport Check(const Script& script) {
  return CheckHistory(script.history());
}

// Two keys, all consistencies, a watcher, a write of unknown outcome that happened: all as it must.
Script Good() {
  Script script;
  script.history().reserve(64);
  script.Get("a", "", 0, 1);
  script.Watch(2);
  script.Put("a", "a1", 2);
  script.Event("a", "a1", 2);
  script.Put("b", "b1", 3);
  script.Get("a", "a1", 2, 3);
  script.Unknown("a", "a2");
  script.Get("a", "a1", 2, 3, ReadMode::kBounded);
  script.Event("b", "b1", 3);
  script.Get("a", "a2", 4, 4);
  script.Event("a", "a2", 4);
  script.Get("b", "b1", 3, 3, ReadMode::kSerializable);
  script.Unknown("b", "b2");  // it never happened
  script.Get("b", "b1", 3, 4);
  script.WatchEnd(4);
  return script;
}

TEST(Check, AcceptsAGoodHistory) {
  const CheckReport report = Check(Good());
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
  EXPECT_EQ(report.puts, 4U);
  EXPECT_EQ(report.unknown_puts, 2U);
  EXPECT_EQ(report.resolved_puts, 1U);
  EXPECT_EQ(report.events, 3U);
}

TEST(Check, FindsAStaleLinearizableRead) {
  Script script = Good();
  script.Put("a", "a3", 5);
  script.Get("a", "a2", 4, 4);
  const CheckReport report = Check(script);
  EXPECT_TRUE(report.Has("stale-read")) << FormatReport(report);
  EXPECT_TRUE(report.Has("not-linearizable")) << FormatReport(report);
}

TEST(Check, ASerializableReadMayBeStale) {
  Script script = Good();
  script.Put("a", "a3", 5);
  script.Get("a", "a2", 4, 4, ReadMode::kSerializable);
  script.Event("a", "a3", 5);
  script.WatchEnd(5);
  EXPECT_TRUE(Check(script).violations.empty()) << FormatReport(Check(script));
}

TEST(Check, FindsABoundedReadOverItsBoundOnly) {
  for (const auto& [wait, is_wrong] :
       {std::pair<Micros, bool>{kBound / 2, false}, std::pair<Micros, bool>{kBound * 2, true}}) {
    Script script = Good();
    script.Put("a", "a3", 5);
    script.Wait(wait);
    script.Get("a", "a2", 4, 4, ReadMode::kBounded);
    EXPECT_EQ(Check(script).Has("over-bound"), is_wrong) << wait;
  }
}

TEST(Check, FindsAnAcknowledgedWriteThatWasLost) {
  Script script = Good();
  script.Put("a", "a3", 5);
  script.Get("a", "a2", 4, 6);
  const CheckReport report = Check(script);
  EXPECT_TRUE(report.Has("lost-write")) << FormatReport(report);
  EXPECT_TRUE(report.Has("not-linearizable")) << FormatReport(report);
}

TEST(Check, FindsAKeyThatIsGone) {
  Script script = Good();
  script.Get("a", "", 0, 4);
  EXPECT_TRUE(Check(script).Has("lost-write"));
}

TEST(Check, FindsDataFromTheFutureOfItsRevision) {
  Script script = Good();
  script.Put("a", "a3", 5);
  script.Get("a", "a3", 5, 4, ReadMode::kSerializable);
  EXPECT_TRUE(Check(script).Has("wrong-data"));
}

TEST(Check, FindsAValueThatNobodyWrote) {
  Script script = Good();
  script.Get("a", "zz", 4, 4);
  EXPECT_TRUE(Check(script).Has("never-written"));
  EXPECT_TRUE(Check(script).Has("not-linearizable"));
}

TEST(Check, FindsARefusedWriteThatTookPlace) {
  Script script = Good();
  script.Put("a", "a3", 0).outcome = RecordOutcome::kFail;
  script.Get("a", "a3", 5, 5);
  EXPECT_TRUE(Check(script).Has("refused-write"));
}

TEST(Check, FindsAWriteThatTookPlaceTwice) {
  Script script = Good();
  script.Get("a", "a2", 6, 6);
  EXPECT_TRUE(Check(script).Has("two-revisions"));
}

TEST(Check, FindsARevisionGivenTwice) {
  Script script = Good();
  script.Put("b", "b3", 2);
  EXPECT_TRUE(Check(script).Has("one-revision-twice"));
}

TEST(Check, FindsAWriteOrderedBeforeAnEarlierOne) {
  Script script = Good();
  script.Put("a", "a3", 7);
  script.Put("b", "b3", 6);
  EXPECT_TRUE(Check(script).Has("write-order"));
}

TEST(Check, FindsAReadBelowItsMinimumRevision) {
  Script script = Good();
  script.Get("b", "b1", 3, 3, ReadMode::kSerializable).min_revision = 4;
  EXPECT_TRUE(Check(script).Has("under-minimum"));
}

struct WatchCase {
  const char* rule;
  std::vector<Revision> events;  // of writes 2, 3 and 4
  Revision through;
};

TEST(Check, FindsEachFaultOfAWatch) {
  for (const WatchCase& wanted :
       {WatchCase{"watch-gap", {2, 4}, 4}, WatchCase{"watch-repeat", {2, 3, 3, 4}, 4},
        WatchCase{"watch-repeat", {2, 3, 2, 3, 4}, 4}, WatchCase{"watch-order", {2, 4, 3}, 4},
        WatchCase{"watch-stuck", {2, 3}, 3}, WatchCase{"watch-gap", {2, 3}, 4}}) {
    Script script;
    script.Watch(2);
    for (Revision r = 2; r <= 4; ++r) script.Put("a", "a" + std::to_string(r), r);
    for (const Revision r : wanted.events) script.Event("a", "a" + std::to_string(r), r);
    script.WatchEnd(wanted.through);
    const CheckReport report = Check(script);
    EXPECT_TRUE(report.Has(wanted.rule)) << wanted.rule << "\n" << FormatReport(report);
  }
}

TEST(Check, FindsAnEventFromBeforeTheWatch) {
  Script script;
  script.Put("a", "a2", 2);
  script.Watch(3);
  script.Event("a", "a2", 2);
  script.WatchEnd(2);
  EXPECT_TRUE(Check(script).Has("watch-before-start"));
}

// A register under many clients: linearization points drawn inside each operation's interval.
History RandomRegister(std::uint64_t seed, int operations) {
  Rng rng(seed);
  History history;
  struct Point {
    Time at;
    std::size_t record;
  };
  std::vector<Point> points;
  for (int i = 0; i < operations; ++i) {
    Record& record = history.emplace_back();
    record.kind = rng.Chance(0.4) ? RecordKind::kPut : RecordKind::kGet;
    record.key = "k";
    record.invoke = static_cast<Time>(rng.Below(static_cast<std::uint64_t>(operations) * 10));
    record.end = record.invoke + 1 + static_cast<Time>(rng.Below(60));
    points.push_back({rng.Between(record.invoke, record.end), history.size() - 1});
  }
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return a.at < b.at; });
  std::optional<std::string> value;
  for (const Point& point : points) {
    Record& record = history[point.record];
    if (record.kind == RecordKind::kPut) record.value = "v" + std::to_string(point.record);
    if (record.kind == RecordKind::kPut) value = record.value;
    record.value = value;
    const bool lost = record.kind == RecordKind::kPut && rng.Chance(0.1);
    if (lost) record.outcome = RecordOutcome::kUnknown;
  }
  return history;
}

TEST(CheckKeys, AcceptsEveryHistoryThatARegisterMade) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CheckReport report;
    CheckKeys(RandomRegister(seed, 300), 1'000'000, report);
    EXPECT_TRUE(report.violations.empty()) << seed << "\n" << FormatReport(report);
  }
}

TEST(CheckKeys, FindsAReadOfAValueLongOverwritten) {
  int planted = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    History history = RandomRegister(seed, 300);
    Record* first = nullptr;
    for (Record& record : history) {
      // One of unknown outcome may happen at any time.
      if (record.kind != RecordKind::kPut || record.outcome != RecordOutcome::kOk) continue;
      if (first == nullptr || record.end < first->end) first = &record;
    }
    Record late = *first;
    late.kind = RecordKind::kGet;
    late.outcome = RecordOutcome::kOk;
    late.invoke = 10000;
    late.end = 10001;
    history.push_back(late);
    CheckReport report;
    CheckKeys(history, 1'000'000, report);
    planted += report.Has("not-linearizable");
  }
  EXPECT_EQ(planted, 100);
}

TEST(CheckKeys, ASearchThatTakesTooLongIsAFailure) {
  CheckReport report;
  CheckKeys(RandomRegister(1, 300), 10, report);
  EXPECT_TRUE(report.Has("search-too-long"));
}

}  // namespace
}  // namespace coppice::loadgen
