#include "common/io/loop.h"

#include <gtest/gtest.h>

#include <thread>

namespace coppice::io {
namespace {

struct Recorder : TurnTask {
  explicit Recorder(std::function<void(Time)> on_turn) : on_turn(std::move(on_turn)) {}
  void OnTurn(Time now) override { on_turn(now); }
  std::function<void(Time)> on_turn;
};

struct GivenClock final : Clock {
  Time Now() const override { return now; }
  std::int64_t UnixMicros() const override { return now; }
  Time now = kSecond;
};

TEST(Loop, CoresRunBeforeFlushersAndOnceATurn) {
  Loop loop("test");
  std::string order;
  Recorder flush([&](Time) { order += 'f'; });
  Recorder core([&](Time) {
    order += 'c';
    loop.Wake(flush, Loop::Phase::kFlush);
  });
  loop.Post([&] {
    loop.Wake(flush, Loop::Phase::kFlush);
    loop.Wake(core, Loop::Phase::kCore);
    loop.Wake(core, Loop::Phase::kCore);
  });
  loop.RunAt(loop.now() + kMillisecond, [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(order, "cf");
}

TEST(Loop, PostsFromManyThreadsAllRun) {
  Loop loop("test");
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kPosts; ++i) {
        loop.Post([&] {
          if (++ran == kThreads * kPosts) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ran, kThreads * kPosts);
}

TEST(Loop, TimersFireInOrderAndCanceledOnesDoNot) {
  Loop loop("test");
  std::string order;
  const Time start = loop.now();
  loop.RunAt(start + 3000, [&] { order += 'c'; });
  loop.RunAt(start + 1000, [&] { order += 'a'; });
  const auto canceled = loop.RunAt(start + 2000, [&] { order += 'x'; });
  loop.RunAt(start + 2500, [&] { order += 'b'; });
  loop.RunAt(start + 30 * kMillisecond, [&] { loop.Stop(); });
  loop.Cancel(canceled);
  loop.Run();
  EXPECT_EQ(order, "abc");
  EXPECT_GE(loop.Refresh(), start + 30 * kMillisecond);
}

TEST(Loop, ATimerSetByATimerFires) {
  Loop loop("test");
  int fired = 0;
  std::function<void()> again = [&] {
    if (++fired == 5) return loop.Stop();
    loop.RunAt(loop.now() + 100, again);
  };
  loop.RunAt(loop.now() + 100, again);
  loop.Run();
  EXPECT_EQ(fired, 5);
}

TEST(Loop, ATimerThatATimerSetsInThePastWaitsForTheNextTurn) {
  GivenClock clock;
  Loop loop("driven", clock);
  int fired = 0;
  std::function<void()> again = [&] {
    ++fired;
    loop.RunAt(2 * kSecond, again);
  };
  loop.RunAt(2 * kSecond, again);
  clock.now = 3 * kSecond;
  for (int turn = 1; turn <= 3; ++turn) {
    loop.DriveWake();
    loop.DriveTurn([] {});
    EXPECT_EQ(fired, turn);
  }
}

TEST(Loop, AForgottenTaskDoesNotRunEvenFromWithinItsBatch) {
  Loop loop("test");
  bool ran = false;
  Recorder second([&](Time) { ran = true; });
  Recorder first([&](Time) { loop.Forget(second); });
  loop.Post([&] {
    loop.Wake(first, Loop::Phase::kCore);
    loop.Wake(second, Loop::Phase::kCore);
  });
  loop.RunAt(loop.now() + kMillisecond, [&] { loop.Stop(); });
  loop.Run();
  EXPECT_FALSE(ran);
}

TEST(Loop, ADrivenLoopTurnsOnlyWhenItsOwnerSaysAndKnowsOnlyItsClock) {
  GivenClock clock;
  Loop loop("driven", clock);
  std::string order;
  Recorder core([&](Time now) {
    EXPECT_EQ(now, 3 * kSecond);
    order += 'c';
  });
  loop.RunAt(2 * kSecond, [&] {
    order += 't';
    loop.Wake(core, Loop::Phase::kCore);
    loop.Post([&] { order += 'n'; });
  });
  loop.Post([&] { order += 'p'; });
  EXPECT_TRUE(loop.HasWork());
  EXPECT_EQ(loop.NextTimer(), 2 * kSecond);

  clock.now = 2 * kSecond;
  loop.DriveWake();
  clock.now = 3 * kSecond;
  loop.DriveTurn([&] {
    EXPECT_TRUE(loop.OnThisThread());
    EXPECT_EQ(loop.now(), 2 * kSecond);  // what comes in is admitted by a clock read after it
    order += 'i';
  });
  EXPECT_EQ(loop.wake_time(), 2 * kSecond);
  EXPECT_EQ(order, "itpnc");
  EXPECT_EQ(loop.now(), 3 * kSecond);
  EXPECT_EQ(loop.NextTimer(), kNever);
  EXPECT_FALSE(loop.HasWork());
  EXPECT_FALSE(loop.OnThisThread());
}

}  // namespace
}  // namespace coppice::io
