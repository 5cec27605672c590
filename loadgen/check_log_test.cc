#include "loadgen/check_log.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "common/mvcc/ops.h"
#include "loadgen/check_script.h"
#include "loadgen/key_space.h"

namespace coppice::loadgen {
namespace {

// A log made by hand: an entry for each call, all of them saved as committed unless said otherwise.
class LogScript {
 public:
  LogScript() { Add(coppice::RecordKind::kNoop, ""); }

  void Put(const std::string& key, const std::string& value) {
    mvcc::PutOp put;
    put.key = key;
    put.value = value;
    Command(std::move(put));
  }
  void Delete(const std::string& key) {
    mvcc::DeleteOp erase;
    erase.range = mvcc::KeyRange::FromWire(key, "");
    Command(std::move(erase));
  }
  void Compact(Revision revision) { Command(mvcc::CompactOp{revision}); }
  void Commit(std::uint64_t index) { log_.commit = Index(index); }

  const SurvivingLog& log() const { return log_; }

 private:
  void Command(mvcc::Command command) {
    Add(coppice::RecordKind::kCommand, mvcc::EncodeCommand(command));
  }
  void Add(coppice::RecordKind kind, const std::string& payload) {
    const Index index(log_.entries.size() + 1);
    log_.entries.push_back(Entry::Make(Term(1), index, kind, payload));
    log_.commit = index;
  }

  SurvivingLog log_;
};

// Revision 2 a1, 3 b1, 4 a2, 5 b deleted.
LogScript GoodLog() {
  LogScript log;
  log.Put("a", "a1");
  log.Put("b", "b1");
  log.Put("a", "a2");
  log.Delete("b");
  return log;
}

Script Good() {
  Script script;
  script.history().reserve(64);
  script.Get("a", "", 0, 1);
  script.Watch(2);
  script.Put("a", "a1", 2);
  script.Event("a", "a1", 2);
  script.Put("b", "b1", 3);
  script.Event("b", "b1", 3);
  script.Get("a", "a1", 2, 3);
  script.Unknown("a", "a2");
  script.Get("a", "a2", 4, 4, ReadMode::kSerializable);
  script.Put("c", "c1", 0).outcome = RecordOutcome::kFail;
  script.Unknown("c", "c2");
  script.Event("a", "a2", 4);
  script.Delete("b", 5);
  script.Event("b", "", 5);
  script.Get("b", "", 0, 5);
  script.WatchEnd(5);
  return script;
}

CheckReport Check(const Script& script, const LogScript& log) {
  CheckReport report;
  const Status status = CheckLog(script.history(), log.log(), report);
  EXPECT_TRUE(status.ok()) << status;
  return report;
}

void ExpectOnly(const char* rule, const CheckReport& report) {
  EXPECT_TRUE(report.Has(rule)) << rule << "\n" << FormatReport(report);
  for (const Violation& violation : report.violations) EXPECT_EQ(violation.rule, rule);
}

TEST(CheckLog, AcceptsAHistoryThatTheLogExplains) {
  const CheckReport report = Check(Good(), GoodLog());
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
  ASSERT_TRUE(report.log);
  EXPECT_EQ(report.log->revision, 5);
  EXPECT_EQ(report.log->writes, 3U);
  EXPECT_EQ(report.log->reads, 4U);
  EXPECT_EQ(report.log->events, 4U);
  EXPECT_EQ(report.log->counted, 5U);
}

TEST(CheckLog, ValuesOfALoadAreKnownByWhatMakesThemUnique) {
  Values values(0xab, 64);
  LogScript log;
  log.Put("k/1", std::string(values.Make("k/1", 7)));
  Script script;
  script.Put("k/1", values.Id(7), 2);
  script.Get("k/1", values.Id(7), 2, 2);
  const CheckReport report = Check(script, log);
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
}

TEST(CheckLog, ACompactionChangesNothing) {
  LogScript log = GoodLog();
  log.Compact(4);
  const CheckReport report = Check(Good(), log);
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
}

TEST(CheckLog, FindsAnAcknowledgedWriteThatIsNotThere) {
  Script script = Good();
  script.Put("c", "c3", 5);
  ExpectOnly("not-in-log", Check(script, GoodLog()));
  script = Good();
  script.Put("b", "a1", 3);  // the value is there, for another key
  ExpectOnly("not-in-log", Check(script, GoodLog()));
  script = Good();
  script.Delete("a", 4);  // changed then, but not deleted
  ExpectOnly("not-in-log", Check(script, GoodLog()));
}

TEST(CheckLog, FindsAWriteAtAnotherRevisionThanAcknowledged) {
  Script script = Good();
  for (Record& record : script.history()) {
    if (record.kind == RecordKind::kPut && record.value == "b1") record.revision = 2;
  }
  ExpectOnly("log-revision", Check(script, GoodLog()));
}

TEST(CheckLog, FindsAWriteThatTookPlaceTwice) {
  for (const std::string value : {"a2", "c2"}) {  // the second: whoever asked never heard
    LogScript log = GoodLog();
    Script script = Good();
    for (int i = 0; i < (value == "c2" ? 2 : 1); ++i) log.Put(value.substr(0, 1), value);
    script.Get("z", "", 0, value == "c2" ? 7 : 6);
    ExpectOnly("twice-in-log", Check(script, log));
  }
}

TEST(CheckLog, FindsARefusedWrite) {
  LogScript log = GoodLog();
  log.Put("c", "c1");
  ExpectOnly("refused-in-log", Check(Good(), log));
}

TEST(CheckLog, FindsAnAnswerThatIsNotTheStateAtItsRevision) {
  using Plant = void (*)(Script&);
  for (const Plant plant : std::initializer_list<Plant>{
           [](Script& s) { s.Get("a", "a1", 2, 4); },  // overwritten
           [](Script& s) { s.Get("a", "a2", 4, 3); },  // not yet written
           [](Script& s) { s.Get("a", "a2", 3, 4); },  // another mod_revision
           [](Script& s) { s.Get("a", "", 0, 4); },    // it is there
           [](Script& s) { s.Get("b", "b1", 3, 5); },  // deleted
           [](Script& s) { s.Get("x", "x1", 3, 5); }}) {
    Script script = Good();
    plant(script);
    ExpectOnly("log-read", Check(script, GoodLog()));
  }
}

TEST(CheckLog, FindsAnEventThatIsNoChange) {
  using Plant = void (*)(Script&);
  for (const Plant plant : std::initializer_list<Plant>{
           [](Script& s) { s.Event("b", "b1", 4); },  // another key's revision
           [](Script& s) { s.Event("a", "a9", 4); },  // another value
           [](Script& s) { s.Event("b", "b1", 5); },  // a deletion
           [](Script& s) { s.Event("a", "", 2); }}) {
    Script script = Good();
    plant(script);
    ExpectOnly("log-event", Check(script, GoodLog()));
  }
}

TEST(CheckLog, FindsAChangeThatAWatcherNeverSaw) {
  for (const Revision missed : {2, 3, 4, 5}) {
    Script script = Good();
    std::erase_if(script.history(), [missed](const Record& record) {
      return record.kind == RecordKind::kEvent && record.mod_revision == missed;
    });
    ExpectOnly("log-gap", Check(script, GoodLog()));
  }
}

TEST(CheckLog, AWatcherIsHeldToItsStartItsRangeAndItsEnd) {
  Script script;
  script.Watch(3);
  script.history().back().range_end = "b";  // not b
  script.history().back().key = "a";
  script.WatchEnd(3);
  script.Get("a", "a2", 4, 5);
  const CheckReport report = Check(script, GoodLog());
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
  script.history()[1].revision = 4;
  ExpectOnly("log-gap", Check(script, GoodLog()));
}

TEST(CheckLog, FindsWhatIsPastTheLogsEnd) {
  using Plant = void (*)(Script&);
  for (const Plant plant : std::initializer_list<Plant>{
           [](Script& s) { s.Put("a", "a3", 6); }, [](Script& s) { s.Get("b", "", 0, 6); },
           [](Script& s) { s.Event("a", "a3", 6); }, [](Script& s) { s.Delete("a", 6); },
           [](Script& s) { s.WatchEnd(6); }}) {
    Script script = Good();
    plant(script);
    ExpectOnly("past-log", Check(script, GoodLog()));
  }
}

// The saved commit index lags, and the log's very end may never have been committed.
TEST(CheckLog, CountsEntriesPastTheSavedCommitIndexAsFarAsClientsSawThem) {
  LogScript log = GoodLog();
  log.Put("c", "c1");  // refused: left over from a leader that lost its place
  log.Put("a", "a4");
  log.Commit(3);
  const CheckReport report = Check(Good(), log);
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
  EXPECT_EQ(report.log->past_commit, 2U);
  EXPECT_EQ(report.log->counted, 5U);
  EXPECT_EQ(report.log->revision, 5);
  log.Commit(6);  // now it is certain
  ExpectOnly("refused-in-log", Check(Good(), log));
}

TEST(CheckLog, ALogWithAGapIsNoOracle) {
  SurvivingLog log = GoodLog().log();
  log.entries.erase(log.entries.begin() + 2);
  CheckReport report;
  EXPECT_EQ(CheckLog(Good().history(), log, report).code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace coppice::loadgen
