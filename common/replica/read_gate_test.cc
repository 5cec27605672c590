#include "common/replica/read_gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace coppice::replica {
namespace {

using Gate = ReadGate;
constexpr Time kStart = 1'000'000'000;

ReadGateConfig QuietConfig() {
  ReadGateConfig config;
  config.boot_nonce = 7;
  config.gap_max = 0;
  config.refresh_interval = 0;
  return config;
}

struct Fixture {
  explicit Fixture(ReadGateConfig config = QuietConfig()) : gate(config) {}

  Gate::Output& Do(const Gate::Input& input) {
    out.Clear();
    gate.Step(now, input, out);
    return out;
  }
  // Upstream up, first round done at index 10, applied 10.
  void Warm() {
    Do(Gate::UpstreamUp{});
    ASSERT_EQ(out.send.size(), 1U);
    const auto id = out.send[0].id;
    Do(Gate::Applied{Index(10)});
    Do(Gate::UpstreamAnswer{id, Index(10)});
    ASSERT_EQ(gate.fresh_as_of(), kStart);
    now += 10;
  }
  std::uint64_t Ask(int loop, int slot = 0) {
    Do(Gate::LocalWaiting{loop, slot});
    return out.send.empty() ? 0 : out.send[0].id;
  }

  Time now = kStart;
  Gate gate;
  Gate::Output out;
};

TEST(ReadGate, SendsTheFirstRoundUnaskedOnceUpstreamIsUp) {
  Fixture f;
  EXPECT_EQ(f.gate.NextDeadline(), kNever);
  EXPECT_EQ(f.Do(Gate::UpstreamUp{}).send.size(), 1U);
  EXPECT_EQ(f.gate.fresh_as_of(), 0);
}

TEST(ReadGate, ARoundTakesAllThatWaitsInATurn) {
  Fixture f;
  f.Warm();
  const std::vector<Gate::Input> inputs = {Gate::LocalWaiting{0, 0}, Gate::LocalWaiting{3, 1},
                                           Gate::ChildRound{5, 77, false},
                                           Gate::ChildRound{6, 78, true}};
  f.out.Clear();
  f.gate.Step(f.now, inputs, f.out);
  ASSERT_EQ(f.out.send.size(), 1U);
  f.Do(Gate::UpstreamAnswer{f.out.send[0].id, Index(10)});
  EXPECT_EQ(f.out.serve.size(), 2U);
  ASSERT_EQ(f.out.answer.size(), 2U);
  EXPECT_EQ(f.out.answer[0].child_id, 77U);
  EXPECT_EQ(f.out.answer[1].child_id, 78U);
}

TEST(ReadGate, WhatComesLaterIsNotAttachedToARoundAlreadySent) {
  Fixture f;
  f.Warm();
  const auto first = f.Ask(0);
  const auto second = f.Ask(1);
  ASSERT_NE(second, 0U);
  f.Do(Gate::UpstreamAnswer{first, Index(10)});
  ASSERT_EQ(f.out.serve.size(), 1U);
  EXPECT_EQ(f.out.serve[0].loop, 0);
}

TEST(ReadGate, AtMostTwoRoundsAreOut) {
  Fixture f;
  f.Warm();
  const auto first = f.Ask(0);
  f.Ask(1);
  EXPECT_EQ(f.Ask(2), 0U);
  EXPECT_EQ(f.gate.rounds_out(), 2);
  f.Do(Gate::UpstreamAnswer{first, Index(10)});
  EXPECT_EQ(f.out.send.size(), 1U);
}

TEST(ReadGate, ServesLocallyOnlyOnceTheIndexIsAppliedAndChildrenAtOnce) {
  Fixture f;
  f.Warm();
  f.Do(Gate::ChildRound{5, 77, false});
  const auto child_round = f.out.send.at(0).id;
  const auto id = f.Ask(0);
  f.Do(Gate::UpstreamAnswer{child_round, Index(20)});
  EXPECT_EQ(f.out.answer.size(), 1U);
  f.Do(Gate::UpstreamAnswer{id, Index(21)});
  EXPECT_TRUE(f.out.serve.empty());
  f.Do(Gate::Applied{Index(20)});
  EXPECT_TRUE(f.out.serve.empty());
  f.Do(Gate::Applied{Index(21)});
  ASSERT_EQ(f.out.serve.size(), 1U);
  EXPECT_EQ(f.out.serve[0].index, Index(21));
}

TEST(ReadGate, FreshAsOfIsTheTimeBeforeTheRoundLeftAndNeverGoesBack) {
  Fixture f;
  f.Warm();
  const Time t1 = f.now;
  const auto first = f.Ask(0);
  f.now += 100;
  const Time t2 = f.now;
  const auto second = f.Ask(1);
  f.now += 300;
  f.Do(Gate::UpstreamAnswer{second, Index(10)});
  EXPECT_EQ(f.out.publish_fresh, t2);
  f.Do(Gate::UpstreamAnswer{first, Index(10)});
  EXPECT_FALSE(f.out.publish_fresh.has_value());
  EXPECT_EQ(f.gate.fresh_as_of(), t2);
  EXPECT_LT(t1, t2);
}

TEST(ReadGate, FreshnessWaitsForApply) {
  Fixture f;
  f.Warm();
  const Time sent = f.now;
  const auto id = f.Ask(0);
  f.now += 50;
  EXPECT_FALSE(f.Do(Gate::UpstreamAnswer{id, Index(11)}).publish_fresh.has_value());
  f.now += 50;
  EXPECT_EQ(f.Do(Gate::Applied{Index(11)}).publish_fresh, sent);
}

TEST(ReadGate, ALostRoundIsAskedAnewUnderAnotherIdAndItsLateAnswerIgnored) {
  Fixture f;
  f.Warm();
  const auto id = f.Ask(0);
  EXPECT_EQ(f.gate.NextDeadline(), f.now + 20 * kMillisecond);
  f.now += 20 * kMillisecond;
  f.Do(Gate::Timer{});
  ASSERT_EQ(f.out.send.size(), 1U);
  const auto retry = f.out.send[0].id;
  EXPECT_NE(retry, id);
  EXPECT_TRUE(f.Do(Gate::UpstreamAnswer{id, Index(10)}).serve.empty());
  EXPECT_EQ(f.Do(Gate::UpstreamAnswer{retry, Index(10)}).serve.size(), 1U);
}

TEST(ReadGate, RetriesBackOffSoThatASlowUpstreamIsNotLostForEver) {
  Fixture f;
  f.Warm();
  std::uint64_t id = f.Ask(0);
  std::vector<std::pair<Time, std::uint64_t>> answers = {{f.now + 70 * kMillisecond, id}};
  bool served = false;
  while (!served && f.now < kStart + kSecond) {
    f.now = std::min(f.gate.NextDeadline(), answers.front().first);
    if (f.now == answers.front().first) {
      f.Do(Gate::UpstreamAnswer{answers.front().second, Index(10)});
      answers.erase(answers.begin());
      served = !f.out.serve.empty();
    } else {
      f.Do(Gate::Timer{});
    }
    for (const auto& send : f.out.send) answers.push_back({f.now + 70 * kMillisecond, send.id});
  }
  EXPECT_TRUE(served);
}

TEST(ReadGate, IdsOfTwoBootsDoNotMeet) {
  ReadGateConfig other = QuietConfig();
  other.boot_nonce = 8;
  Fixture a;
  Fixture b(other);
  EXPECT_NE(a.Do(Gate::UpstreamUp{}).send[0].id, b.Do(Gate::UpstreamUp{}).send[0].id);
}

TEST(ReadGate, AnUpstreamThatGoesKeepsLocalReadsWaitingAndRefusesChildren) {
  Fixture f;
  f.Warm();
  const auto id = f.Ask(0);
  f.Do(Gate::ChildRound{5, 77, false});
  f.Do(Gate::UpstreamDown{});
  ASSERT_EQ(f.out.refuse.size(), 1U);
  EXPECT_EQ(f.out.refuse[0].child_id, 77U);
  EXPECT_EQ(f.Do(Gate::ChildRound{5, 79, false}).refuse.size(), 1U);
  EXPECT_TRUE(f.Do(Gate::UpstreamAnswer{id, Index(10)}).serve.empty());
  f.Do(Gate::UpstreamUp{});
  ASSERT_EQ(f.out.send.size(), 1U);
  EXPECT_EQ(f.Do(Gate::UpstreamAnswer{f.out.send[0].id, Index(10)}).serve.size(), 1U);
}

TEST(ReadGate, ARefusedRoundIsAskedAnewAfterAPause) {
  Fixture f;
  f.Warm();
  const auto id = f.Ask(0);
  EXPECT_TRUE(f.Do(Gate::UpstreamRefused{id}).send.empty());
  f.now = f.gate.NextDeadline();
  ASSERT_EQ(f.Do(Gate::Timer{}).send.size(), 1U);
  EXPECT_NE(f.out.send[0].id, id);
}

TEST(ReadGate, ALoneReaderIsNeverHeldBack) {
  ReadGateConfig config = QuietConfig();
  config.gap_max = 500;
  Fixture f(config);
  f.Warm();
  for (int i = 0; i < 5; ++i) {
    const auto id = f.Ask(0);
    EXPECT_NE(id, 0U);
    f.now += 100;
    f.Do(Gate::UpstreamAnswer{id, Index(10)});
    f.now += 10;
  }
}

TEST(ReadGate, UnderLoadTheGapBetweenRoundsGrowsButNotAboveItsMaximum) {
  ReadGateConfig config = QuietConfig();
  config.gap_max = 500;
  Fixture f(config);
  f.Warm();
  std::vector<bool> busy(10);  // loops with a read in the gate
  std::vector<std::pair<Time, std::uint64_t>> sent;
  std::size_t answered = 0;
  const auto take = [&] {
    for (const auto& send : f.out.send) sent.emplace_back(f.now, send.id);
    for (const auto& serve : f.out.serve) busy[static_cast<std::size_t>(serve.loop)] = false;
  };
  for (int tick = 0; tick < 2000; ++tick, f.now += 10) {
    const auto loop = static_cast<std::size_t>(tick) % busy.size();
    if (!busy[loop]) {
      busy[loop] = true;
      f.Do(Gate::LocalWaiting{static_cast<int>(loop), 0});
      take();
    }
    while (answered < sent.size() && sent[answered].first + 100 <= f.now) {
      f.Do(Gate::UpstreamAnswer{sent[answered++].second, Index(10)});
      take();
    }
    f.Do(Gate::Timer{});
    take();
  }
  Micros longest = 0;
  for (std::size_t i = 1; i < sent.size(); ++i) {
    longest = std::max(longest, sent[i].first - sent[i - 1].first);
  }
  EXPECT_GE(longest, 250);
  EXPECT_LE(longest, 510) << "a tick more";
}

TEST(ReadGate, AnIdleGateRefreshesAtItsIntervalAndOtherRoundsCountAsRefresh) {
  ReadGateConfig config = QuietConfig();
  config.refresh_interval = 100 * kMillisecond;
  Fixture f(config);
  f.Warm();
  EXPECT_EQ(f.gate.NextDeadline(), kStart + 100 * kMillisecond);
  f.now = kStart + 90 * kMillisecond;
  const auto id = f.Ask(0);
  f.Do(Gate::UpstreamAnswer{id, Index(10)});
  EXPECT_EQ(f.gate.NextDeadline(), kStart + 190 * kMillisecond);
  f.now = f.gate.NextDeadline();
  f.Do(Gate::Timer{});
  ASSERT_EQ(f.out.send.size(), 1U);
  EXPECT_TRUE(f.out.send[0].relaxed);
}

TEST(ReadGate, WithoutARefreshIntervalNoRoundGoesUnasked) {
  Fixture f;
  f.Warm();
  EXPECT_EQ(f.gate.NextDeadline(), kNever);
  f.Do(Gate::SetRefresh{100 * kMillisecond});
  EXPECT_LT(f.gate.NextDeadline(), kNever);
}

TEST(ReadGate, IdleRoundsOfChildrenWaitForEachOther) {
  Fixture f;
  f.Warm();
  EXPECT_TRUE(f.Do(Gate::ChildRound{1, 11, true}).send.empty());
  f.now += 5 * kMillisecond;
  EXPECT_TRUE(f.Do(Gate::ChildRound{2, 22, true}).send.empty());
  f.now = f.gate.NextDeadline();
  EXPECT_EQ(f.now, kStart + 10 + 10 * kMillisecond);
  ASSERT_EQ(f.Do(Gate::Timer{}).send.size(), 1U);
  EXPECT_EQ(f.Do(Gate::UpstreamAnswer{f.out.send[0].id, Index(10)}).answer.size(), 2U);
}

TEST(ReadGate, FreshnessIsLostAfterThreeElectionTimeoutsWithoutARound) {
  ReadGateConfig config = QuietConfig();
  config.refresh_interval = 100 * kMillisecond;
  Fixture f(config);
  f.Warm();
  EXPECT_TRUE(f.gate.confirmed());
  std::optional<bool> change;
  Time lost_at = 0;
  for (int i = 0; i < 200 && !change; ++i) {
    f.now = f.gate.NextDeadline();
    change = f.Do(Gate::Timer{}).confirmed;
    lost_at = f.now;
  }
  EXPECT_EQ(change, false);
  EXPECT_EQ(lost_at, kStart + 3 * kSecond);
}

TEST(ReadGate, AResumeClearsFreshnessAndRoundsSentBeforeItDoNotRestoreIt) {
  Fixture f;
  f.Warm();
  const auto id = f.Ask(0);
  f.Do(Gate::Resumed{});
  EXPECT_EQ(f.out.publish_fresh, 0);
  f.Do(Gate::UpstreamAnswer{id, Index(10)});
  EXPECT_EQ(f.out.serve.size(), 1U) << "the index is still good";
  EXPECT_EQ(f.gate.fresh_as_of(), 0);
  ASSERT_EQ(f.out.send.size(), 1U) << "and a new round is sent at once";
  f.Do(Gate::UpstreamAnswer{f.out.send[0].id, Index(10)});
  EXPECT_EQ(f.gate.fresh_as_of(), f.now);
}

TEST(ReadGate, ARetryingChildDoesNotPileUp) {
  Fixture f;
  f.Warm();
  f.Ask(0);
  f.Ask(1);
  std::size_t refused = 0;
  for (std::uint64_t i = 0; i < 100; ++i)
    refused += f.Do(Gate::ChildRound{5, i, false}).refuse.size();
  EXPECT_EQ(refused, 96U);
}

TEST(ReadGate, AChildThatIsGoneIsNotAnswered) {
  Fixture f;
  f.Warm();
  f.Do(Gate::ChildRound{5, 77, false});
  const auto id = f.out.send.at(0).id;
  f.Do(Gate::ChildGone{5});
  EXPECT_TRUE(f.Do(Gate::UpstreamAnswer{id, Index(10)}).answer.empty());
}

}  // namespace
}  // namespace coppice::replica
