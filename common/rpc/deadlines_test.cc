#include "common/rpc/deadlines.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace coppice::rpc {
namespace {

TEST(Deadlines, ExpireAfterTheirTimeAndRemovedOnesDoNot) {
  io::Loop loop("test");
  std::vector<DeadlineNode*> expired;
  Deadlines deadlines(loop, [&](DeadlineNode& node) {
    EXPECT_GE(loop.now(), node.due);
    expired.push_back(&node);
  });
  const Time start = loop.now();
  std::array<DeadlineNode, 4> nodes;
  deadlines.Add(nodes[0], start + 40 * kMillisecond);
  deadlines.Add(nodes[1], start + 5 * kMillisecond);
  deadlines.Add(nodes[2], start + 20 * kMillisecond);
  deadlines.Add(nodes[3], start + 10 * kSecond);
  Deadlines::Remove(nodes[2]);
  Deadlines::Remove(nodes[2]);
  loop.RunAt(start + 100 * kMillisecond, [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(expired, (std::vector<DeadlineNode*>{&nodes[1], &nodes[0]}));
}

TEST(Deadlines, OneExpiryMayRemoveAnother) {
  io::Loop loop("test");
  std::array<DeadlineNode, 2> nodes;
  int expired = 0;
  Deadlines deadlines(loop, [&](DeadlineNode& node) {
    ++expired;
    Deadlines::Remove(&node == &nodes[0] ? nodes[1] : nodes[0]);
  });
  for (DeadlineNode& node : nodes) deadlines.Add(node, loop.now() + kMillisecond);
  loop.RunAt(loop.now() + 50 * kMillisecond, [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(expired, 1);
}

TEST(Deadlines, OneFurtherThanTheWheelWaitsItsTurns) {
  io::Loop loop("test");
  DeadlineNode node;
  DeadlineNode near;
  int expired = 0;
  Deadlines deadlines(loop, [&](DeadlineNode&) { ++expired; });
  // The same place on the wheel as `near`, one turn of it later.
  const Time due = loop.now() + 20 * kMillisecond;
  deadlines.Add(node, due + 256 * 10 * kMillisecond);
  deadlines.Add(near, due);
  loop.RunAt(due + 40 * kMillisecond, [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(expired, 1);
  EXPECT_NE(node.next, nullptr);
}

}  // namespace
}  // namespace coppice::rpc
