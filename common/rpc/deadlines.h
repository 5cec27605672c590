#pragma once

#include <array>
#include <functional>

#include "common/base/time.h"
#include "common/io/loop.h"

namespace coppice::rpc {

// A place in Deadlines, part of the call it stands for.
struct DeadlineNode {
  DeadlineNode* prev = nullptr;
  DeadlineNode* next = nullptr;
  Time due = kNever;
};

// The deadlines of a loop's calls: a wheel of 10 ms ticks whose lists run through the calls
// themselves, under one timer of the loop. Most calls end long before; adding and removing one is a
// few nanoseconds and allocates nothing. Thread: the loop's.
class Deadlines {
 public:
  // `expired` runs with the node already taken out, at most 20 ms after its time.
  Deadlines(io::Loop& loop, std::function<void(DeadlineNode&)> expired);
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  void Add(DeadlineNode& node, Time due);
  static void Remove(DeadlineNode& node);  // whether it was added or not

 private:
  static constexpr Micros kTick = 10 * kMillisecond;
  static constexpr std::size_t kTicks = 256;

  static void Link(DeadlineNode& head, DeadlineNode& node);
  void Fire();
  void Arm(Time tick);
  void ArmNext();

  io::Loop& loop_;
  const std::function<void(DeadlineNode&)> expired_;
  std::array<DeadlineNode, kTicks> heads_;
  Time next_tick_;  // the first that has not been looked at
  Time armed_ = kNever;
  io::Loop::TimerId timer_ = 0;
};

}  // namespace coppice::rpc
