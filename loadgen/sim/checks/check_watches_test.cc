#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loadgen/sim/checks/run_script.h"

namespace coppice::sim {
namespace {

using ::testing::Contains;

std::string Text(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& violation : violations) out += violation.property + ": " + violation.what;
  return out;
}

// Revisions 2 to 6: put a, put b, both in one, delete a, put a.
void Fill(RunScript& script) {
  script.Put("k/a");
  script.Put("k/b");
  script.PutAll({"k/a", "k/b"});
  script.Delete("k/a");
  script.Put("k/a");
}

// A watch of everything from revision 2 on, to which the revisions in `delivered` are delivered.
StreamRecord& Watched(RunScript& script, const std::vector<Revision>& delivered,
                      WatchCreated spec = RunScript::All(2)) {
  StreamRecord& stream = script.Stream();
  script.Create(stream, 0, std::move(spec));
  const Revision header = stream.replies.back().header;
  for (const Revision revision : delivered) {
    script.Deliver(stream, 0, revision).header = std::max(header, revision);
  }
  return stream;
}

TEST(CheckWatches, AcceptsWatchesThatAreServedRight) {
  RunScript script;
  StreamRecord& live = script.Stream();
  script.Create(live, 0);
  WatchCreated prev = RunScript::All();
  prev.prev_kv = true;
  script.Create(live, 1, prev);
  Fill(script);
  for (Revision r = 2; r <= 6; ++r) {
    script.Deliver(live, 0, r);
    script.Deliver(live, 1, r, /*prev_kv=*/true);
  }
  script.Progress(live, 6);
  live.ended = 0;
  WatchCreated deletes = RunScript::All(2);
  deletes.no_put = true;
  Watched(script, {5}, deletes);
  EXPECT_EQ(Text(script.Check()), "");
}

struct Case {
  const char* property;
  std::vector<Revision> delivered;
};

TEST(CheckWatches, FindsGapsAndRepeats) {
  for (const Case& wanted :
       {Case{"W4", {2, 4, 5}}, Case{"W2", {2, 3, 3}}, Case{"W2", {2, 3, 2}}, Case{"W4", {3}}}) {
    RunScript script;
    Fill(script);
    Watched(script, wanted.delivered);
    EXPECT_THAT(script.Broken(), Contains(wanted.property));
  }
}

TEST(CheckWatches, FindsAGapOfAResumedWatch) {
  RunScript script;
  Fill(script);
  WatchCreated spec = RunScript::All(3);
  spec.resumed = true;
  Watched(script, {4, 5}, spec);
  EXPECT_THAT(script.Broken(), Contains("W5"));
}

TEST(CheckWatches, FindsWrongOrderInARevision) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = Watched(script, {2, 3, 4});
  std::swap(stream.replies.back().events[0], stream.replies.back().events[1]);
  EXPECT_THAT(script.Broken(), Contains("W1"));
}

TEST(CheckWatches, FindsASplitRevision) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = Watched(script, {2, 3, 4});
  stream.replies.back().events.pop_back();
  EXPECT_THAT(script.Broken(), Contains("W3"));
}

TEST(CheckWatches, AcceptsFragmentsOnlyWhereTheyWereAskedFor) {
  for (const bool asked : {true, false}) {
    RunScript script;
    Fill(script);
    WatchCreated spec = RunScript::All(4);
    spec.fragment = asked;
    StreamRecord& stream = Watched(script, {4, 4}, spec);
    auto& replies = stream.replies;
    replies[1].events.pop_back();
    replies[1].fragment = true;
    replies[2].events.erase(replies[2].events.begin());
    if (asked) {
      EXPECT_EQ(Text(script.Check()), "");
    } else {
      EXPECT_THAT(script.Broken(), Contains("W3"));
    }
  }
}

TEST(CheckWatches, FindsAWatcherThatNeverReachedTheEnd) {
  RunScript script;
  Fill(script);
  Watched(script, {2, 3, 4, 5}).ended = 0;
  EXPECT_THAT(script.Broken(), Contains("W4"));
}

TEST(CheckWatches, FindsWrongPrevKv) {
  RunScript script;
  Fill(script);
  WatchCreated spec = RunScript::All(4);
  spec.prev_kv = true;
  StreamRecord& stream = script.Stream();
  script.Create(stream, 0, spec);
  script.Deliver(stream, 0, 4, /*prev_kv=*/true).header = 6;
  stream.replies.back().events[0].prev->value = "older";
  EXPECT_THAT(script.Broken(), Contains("W6"));
}

TEST(CheckWatches, PrevKvMayBeAbsentOnlyWhenItIsCompacted) {
  for (const bool compacted : {true, false}) {
    RunScript script;
    Fill(script);
    WatchCreated spec = RunScript::All(4);
    spec.prev_kv = true;
    if (compacted) script.Compact(4);
    Watched(script, {4}, spec);
    if (compacted) {
      EXPECT_EQ(Text(script.Check()), "");
    } else {
      EXPECT_THAT(script.Broken(), Contains("W6"));
    }
  }
}

TEST(CheckWatches, FindsACreateThatLooksLikeAModification) {
  RunScript script;
  Fill(script);
  Watched(script, {2}).replies.back().events[0].kv.version = 2;
  EXPECT_THAT(script.Broken(), Contains("W7"));
}

TEST(CheckWatches, FindsAnEventBeforeAFutureStart) {
  RunScript script;
  StreamRecord& stream = script.Stream();
  script.Create(stream, 0, RunScript::All(4));
  Fill(script);
  script.Deliver(stream, 0, 3);
  EXPECT_THAT(script.Broken(), Contains("W8"));
}

TEST(CheckWatches, FindsACompactionThatCancelsTooMuchOrWrongly) {
  for (const auto& [start, compact] :
       {std::pair<Revision, Revision>{4, 4}, std::pair<Revision, Revision>{2, 5}}) {
    RunScript script;
    Fill(script);
    script.Compact(4);
    StreamRecord& stream = script.Stream();
    script.Create(stream, 0, RunScript::All(start));
    script.Cancel(stream, 0, compact);
    EXPECT_THAT(script.Broken(), Contains("W9"));
  }
}

TEST(CheckWatches, FindsWhatIsCompactedServedAllTheSame) {
  RunScript script;
  Fill(script);
  script.Compact(4);
  Watched(script, {2});
  EXPECT_THAT(script.Broken(), Contains("W9"));
}

TEST(CheckWatches, ABoundedWatchMayNotKnowOfACompactionWithinItsBound) {
  for (const bool within : {true, false}) {
    RunScript script;
    Fill(script);
    script.Compact(4);
    StreamRecord& stream = Watched(script, {2});
    stream.consistency.mode = ReadMode::kBounded;
    stream.consistency.max_staleness = within ? kSecond : 1;
    EXPECT_EQ(script.Broken().empty(), within);
  }
}

TEST(CheckWatches, AcceptsTheCancelOfWhatIsCompacted) {
  RunScript script;
  Fill(script);
  script.Compact(4);
  StreamRecord& stream = script.Stream();
  script.Create(stream, 0, RunScript::All(3));
  script.Cancel(stream, 0, 4);
  EXPECT_EQ(Text(script.Check()), "");
}

TEST(CheckWatches, FindsProgressAheadOfEvents) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = Watched(script, {2, 3});
  script.Progress(stream, 6);
  EXPECT_THAT(script.Broken(), Contains("W10"));
}

TEST(CheckWatches, FindsAJoiningWatchThatSeesItsPast) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = script.Stream();
  script.Create(stream, 0);
  script.Deliver(stream, 0, 6).header = 6;
  EXPECT_THAT(script.Broken(), Contains("W12"));
}

TEST(CheckWatches, FindsAHeaderThatGoesBack) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = Watched(script, {2, 3});
  stream.replies.back().header = 3;
  EXPECT_THAT(script.Broken(), Contains("watch-header"));
}

TEST(CheckWatches, FindsAStaleCreation) {
  for (const auto& [mode, property] :
       {std::pair{ReadMode::kLinearizable, "L1"}, std::pair{ReadMode::kBounded, "B1"}}) {
    RunScript script;
    Fill(script);
    script.Wait(500);
    StreamRecord& stream = script.Stream(mode);
    stream.consistency.max_staleness = 100;
    script.Create(stream, 0).header = 4;
    EXPECT_THAT(script.Broken(), Contains(property));
  }
}

TEST(CheckWatches, FindsACreationBelowTheSession) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = script.Stream(ReadMode::kSerializable);
  stream.in_session = true;
  stream.consistency.min_revision = 6;
  script.Create(stream, 0).header = 4;
  EXPECT_THAT(script.Broken(), Contains("session-watch"));
}

TEST(CheckWatches, FindsEventsAfterTheCancel) {
  RunScript script;
  Fill(script);
  StreamRecord& stream = Watched(script, {2});
  stream.cancels.push_back({script.now(), 0});
  script.Cancel(stream, 0, 0).header = 6;
  script.Deliver(stream, 0, 3).header = 6;
  EXPECT_THAT(script.Broken(), Contains("W4"));
}

// In a quiet time: `full` is unread and full, `read` is served at once up to now.
struct BesideAFullOne {
  BesideAFullOne() {
    script.aftermath().delivery_max = kSecond;
    script.history().healed_at = 1;
    script.history().settling_at = 60 * kSecond;
    script.Create(full, 0);
    script.Create(read, 0);
    script.Wait(20 * kSecond);
    full.unread.push_back({.from = script.now()});
    for (int i = 0; i < 100; ++i) {
      script.Deliver(read, 0, script.Put("k/a", /*prev_kv=*/false, /*padding=*/8000).revision);
    }
  }
  RunScript script;
  StreamRecord& full = script.Stream();
  StreamRecord& read = script.Stream();
};

TEST(CheckWatches, FindsAnEventThatIsLateBesideAFullWatcher) {
  for (const bool late : {true, false}) {
    BesideAFullOne run;
    const Revision revision = run.script.Put("k/a").revision;
    run.script.Wait(late ? 2 * kSecond : kSecond / 2);
    run.script.Deliver(run.read, 0, revision);
    if (late) {
      EXPECT_THAT(run.script.Broken(), ::testing::ElementsAre("W13"));
    } else {
      EXPECT_EQ(Text(run.script.Check()), "");
      EXPECT_GT(run.script.coverage().Get("events-beside-a-full-watcher"), 0);
    }
  }
}

TEST(CheckWatches, FindsAnEventThatWasDueBeforeItsStreamEnded) {
  for (const Micros after : {2 * kSecond, kSecond / 2}) {
    BesideAFullOne run;
    run.script.Put("k/a");
    run.read.ended = run.script.now() + after;
    EXPECT_EQ(run.script.Broken().contains("W13"), after > kSecond);
  }
}

TEST(CheckWatches, AcceptsLateEventsOutsideOfQuietTimesAndOfAClientThatDidNotRead) {
  for (const int why : {0, 1, 2, 3}) {
    BesideAFullOne run;
    const Revision revision = run.script.Put("k/a").revision;
    if (why == 0) run.script.history().settling_at = run.script.now() - 15;
    if (why == 1) run.script.history().healed_at = 10 * kSecond;
    if (why == 2) run.read.unread.push_back({run.script.now(), run.script.now() + kSecond});
    if (why == 3) run.read.replies.front().at = run.script.now() - kSecond;
    run.script.Wait(2 * kSecond);
    run.script.Deliver(run.read, 0, revision);
    EXPECT_EQ(Text(run.script.Check()), "") << why;
  }
}

}  // namespace
}  // namespace coppice::sim
