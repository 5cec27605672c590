#include "loadgen/check_sessions.h"

#include <gtest/gtest.h>

#include "loadgen/check_script.h"

namespace coppice::loadgen {
namespace {

constexpr ReadMode kSerializable = ReadMode::kSerializable;

Record& InSession(Record& record, std::uint64_t client = 1) {
  record.session = true;
  record.client = client;
  return record;
}

// Two clients with sessions and one without. Every answer of a session has what it saw before.
Script Good() {
  Script script;
  script.history().reserve(64);
  InSession(script.Put("a", "a1", 2), 1);
  InSession(script.Get("a", "a1", 2, 2, kSerializable), 1);
  InSession(script.Get("a", "", 0, 1, kSerializable), 2);  // it has seen nothing yet
  script.Get("a", "", 0, 1, kSerializable).client = 3;
  InSession(script.Get("a", "a1", 2, 2), 2);
  InSession(script.Put("a", "a2", 3), 2);
  return script;
}

CheckReport Check(const Script& script) {
  CheckReport report;
  CheckSessions(script.history(), report);
  return report;
}

TEST(CheckSessions, AcceptsWhatEachSessionHasSeenBefore) {
  const CheckReport report = Check(Good());
  EXPECT_TRUE(report.violations.empty()) << FormatReport(report);
  EXPECT_EQ(report.sessions, 2U);
  EXPECT_EQ(report.session_reads, 3U);
}

TEST(CheckSessions, FindsAReadWithoutTheSessionsOwnWrite) {
  Script script = Good();
  InSession(script.Put("a", "a3", 4));
  InSession(script.Get("a", "a2", 3, 3, kSerializable));
  EXPECT_TRUE(Check(script).Has("read-your-writes")) << FormatReport(Check(script));
}

TEST(CheckSessions, FindsAReadBehindAnEarlierOne) {
  Script script = Good();
  InSession(script.Get("b", "", 0, 5));
  InSession(script.Get("b", "", 0, 4, ReadMode::kBounded));
  EXPECT_TRUE(Check(script).Has("monotonic-reads")) << FormatReport(Check(script));
}

TEST(CheckSessions, FindsAWriteThatIsNotAfterWhatTheSessionHadRead) {
  for (const Revision revision : {4, 5}) {
    Script script = Good();
    InSession(script.Get("b", "", 0, 5));
    InSession(script.Put("b", "b1", revision));
    EXPECT_TRUE(Check(script).Has("writes-follow-reads")) << revision;
  }
}

TEST(CheckSessions, OneSessionIsNotHeldToWhatAnotherSaw) {
  Script script = Good();
  InSession(script.Get("b", "", 0, 9), 1);
  InSession(script.Get("b", "", 0, 8, kSerializable), 2);
  EXPECT_TRUE(Check(script).violations.empty()) << FormatReport(Check(script));
}

TEST(CheckSessions, AnswersThatWereUnderWayTogetherAreNotCompared) {
  Script script = Good();
  const Time end = InSession(script.Get("b", "", 0, 9)).end;
  InSession(script.Get("b", "", 0, 8, kSerializable)).invoke = end;
  EXPECT_TRUE(Check(script).violations.empty()) << FormatReport(Check(script));
}

TEST(CheckSessions, WhatHasNoSessionOrNoAnswerIsLeftOut) {
  Script script = Good();
  script.Get("a", "", 0, 1, kSerializable).client = 1;
  InSession(script.Get("a", "", 0, 0)).outcome = RecordOutcome::kFail;
  EXPECT_TRUE(Check(script).violations.empty()) << FormatReport(Check(script));
}

}  // namespace
}  // namespace coppice::loadgen
