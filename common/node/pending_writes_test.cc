#include "common/node/pending_writes.h"

#include <gtest/gtest.h>

#include <set>

namespace coppice::node {
namespace {

class NoReplier final : public api::Replier {
 public:
  void Ok(std::span<const std::string_view> /*pieces*/, const api::Served& /*served*/) override {}
  void Fail(const Status& /*status*/) override {}
  void FailNotProposed(const Status& /*status*/) override {}
  void Parts(std::uint64_t /*total*/, std::unique_ptr<api::PartSource> /*source*/) override {}
};

PendingWrites::Pending Write(std::string_view bytes, Time deadline) {
  PendingWrites::Pending pending;
  pending.replier = std::make_unique<NoReplier>();
  pending.request.bytes = bytes;
  pending.request.deadline = deadline;
  return pending;
}

TEST(PendingWrites, ATokenTakesItsWriteOnce) {
  PendingWrites writes;
  const std::uint64_t a = writes.Add(Write("a", kNever));
  const std::uint64_t b = writes.Add(Write("b", kNever));
  EXPECT_EQ(writes.Take(b).request.bytes, "b");
  EXPECT_EQ(writes.Take(b).replier, nullptr);
  EXPECT_EQ(writes.Take(a).request.bytes, "a");
  EXPECT_EQ(writes.size(), 0U);
}

TEST(PendingWrites, ALateOutcomeDoesNotFindTheNextWriteOfItsSlot) {
  PendingWrites writes;
  const std::uint64_t late = writes.Add(Write("a", 10));
  EXPECT_EQ(writes.TakeExpired(10).request.bytes, "a");
  const std::uint64_t next = writes.Add(Write("b", kNever));
  EXPECT_EQ(writes.Take(late).replier, nullptr);
  EXPECT_EQ(writes.Take(next).request.bytes, "b");
}

TEST(PendingWrites, EveryWritePastItsDeadlineIsTakenAndNoOther) {
  PendingWrites writes;
  writes.Add(Write("never", kNever));
  writes.Add(Write("a", 10));
  writes.Add(Write("later", 30));
  writes.Add(Write("b", 20));
  EXPECT_EQ(writes.NextDeadline(), 10);
  EXPECT_EQ(writes.TakeExpired(9).replier, nullptr);
  std::set<std::string> taken;
  for (auto late = writes.TakeExpired(20); late.replier != nullptr; late = writes.TakeExpired(20)) {
    taken.emplace(late.request.bytes);
  }
  EXPECT_EQ(taken, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(writes.NextDeadline(), 30);
  EXPECT_EQ(writes.size(), 2U);
}

}  // namespace
}  // namespace coppice::node
