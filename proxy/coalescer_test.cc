#include "proxy/coalescer.h"

#include <gtest/gtest.h>

#include <map>

#include "common/base/rng.h"

namespace coppice::proxy {
namespace {

// What became of one request.
struct Outcome {
  int answers = 0;
  std::string body;
  Status status;
};

class FakeReplier final : public api::Replier {
 public:
  explicit FakeReplier(Outcome& outcome) : outcome_(outcome) {}
  void Ok(std::span<const std::string_view> pieces, const api::Served& /*served*/) override {
    ++outcome_.answers;
    for (const std::string_view piece : pieces) outcome_.body += piece;
  }
  void Fail(const Status& status) override {
    ++outcome_.answers;
    outcome_.status = status;
  }
  void Parts(std::uint64_t /*total*/, std::unique_ptr<api::PartSource> /*source*/) override {}
  void FailNotProposed(const Status& status) override { Fail(status); }

 private:
  Outcome& outcome_;
};

class CoalescerTest : public testing::Test {
 protected:
  static constexpr std::size_t kFew = 64;
  static constexpr std::size_t kMany = 65;

  static api::Request Range(std::string_view bytes) {
    api::Request request;
    request.method = api::Method::kRange;
    request.bytes = bytes;
    return request;
  }
  GroupId Add(const api::Request& request, bool shareable = true, std::uint64_t auth_revision = 0) {
    return coalescer.Add(now, request, std::make_unique<FakeReplier>(outcomes.emplace_back()),
                         shareable, auth_revision);
  }
  std::vector<GroupId> Take(std::size_t outstanding) {
    std::vector<GroupId> out;
    coalescer.Take(now, outstanding, out);
    return out;
  }
  void Answer(GroupId id, std::string_view body) {
    const std::string_view pieces[] = {body};
    coalescer.Ok(id, pieces, {});
  }
  void Expire() {
    coalescer.Expire(now, [](GroupId) { return MakeStatus(StatusCode::kUnavailable, "late"); });
  }

  Time now = 5 * kSecond;
  std::deque<Outcome> outcomes;
  Coalescer coalescer{Coalescer::Options{}};  // its end answers what is left
};

TEST_F(CoalescerTest, IdenticalReadsOfATurnShareOneUpstreamRead) {
  const GroupId a = Add(Range("key"));
  EXPECT_EQ(Add(Range("key")), a);
  EXPECT_EQ(Add(Range("key")), a);
  EXPECT_EQ(Take(0).size(), 1U);
  Answer(a, "value");
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.answers, 1);
    EXPECT_EQ(outcome.body, "value");
  }
  EXPECT_EQ(coalescer.requests(), 0U);
}

TEST_F(CoalescerTest, ReadsThatDifferInAnyPartOfTheKeyDoNotShare) {
  std::vector<api::Request> different(7, Range("key"));
  different[1].bytes = "other";
  different[2].consistency.mode = ReadMode::kSerializable;
  different[3].consistency.min_revision = 7;
  different[4].token = "alice";
  different[5].token = "bob";
  different[6].method = api::Method::kTxn;
  for (const api::Request& request : different) Add(request);
  Add(Range("key"), true, 2);
  EXPECT_EQ(Take(0).size(), different.size() + 1);
}

TEST_F(CoalescerTest, NeverJoinsOneThatWasWritten) {
  const GroupId written = Add(Range("key"));
  Take(kMany);
  const GroupId next = Add(Range("key"));
  EXPECT_NE(next, written);
  Answer(written, "old");
  EXPECT_EQ(outcomes[0].body, "old");
  EXPECT_EQ(outcomes[1].answers, 0);
}

TEST_F(CoalescerTest, WithFewOutstandingAReadDoesNotWaitForAnIdenticalOne) {
  Add(Range("key"));
  Take(kFew);
  const GroupId next = Add(Range("key"));
  EXPECT_EQ(Take(kFew), std::vector<GroupId>{next});
}

TEST_F(CoalescerTest, WithManyOutstandingIdenticalReadsGatherUntilTheOneInFlightReturns) {
  const GroupId first = Add(Range("key"));
  Take(kMany);
  const GroupId gathering = Add(Range("key"));
  EXPECT_TRUE(Take(kMany).empty());
  EXPECT_EQ(Add(Range("key")), gathering);
  EXPECT_TRUE(Take(kMany).empty());
  Answer(first, "1");
  EXPECT_EQ(Take(kMany), std::vector<GroupId>{gathering});
  EXPECT_EQ(coalescer.waiters(gathering), 2U);
}

TEST_F(CoalescerTest, GatheringEndsAfterAMillisecond) {
  Add(Range("key"));
  Take(kMany);
  const GroupId gathering = Add(Range("key"));
  EXPECT_TRUE(Take(kMany).empty());
  EXPECT_EQ(coalescer.NextDeadline(), now + kMillisecond);
  now += kMillisecond;
  EXPECT_EQ(Take(kMany), std::vector<GroupId>{gathering});
  EXPECT_EQ(coalescer.NextDeadline(), kNever);
}

TEST_F(CoalescerTest, GatheringEndsWhenFewAreOutstanding) {
  Add(Range("key"));
  Take(kMany);
  const GroupId gathering = Add(Range("key"));
  EXPECT_TRUE(Take(kMany).empty());
  EXPECT_EQ(Take(kFew), std::vector<GroupId>{gathering});
}

TEST_F(CoalescerTest, AReadWithoutAnIdenticalOneInFlightNeverWaits) {
  Add(Range("key"));
  Take(kMany);
  Add(Range("other"));
  EXPECT_EQ(Take(kMany).size(), 1U);
}

TEST_F(CoalescerTest, MutationsNeverShare) {
  api::Request put = Range("same");
  put.method = api::Method::kPut;
  EXPECT_NE(Add(put, false), Add(put, false));
  EXPECT_EQ(Take(kMany).size(), 2U);
}

TEST_F(CoalescerTest, OneWaitersDeadlineDoesNotTouchTheOthers) {
  api::Request hurried = Range("key");
  hurried.deadline = now + 10;
  api::Request patient = Range("key");
  patient.deadline = now + kSecond;
  const GroupId group = Add(hurried);
  Add(patient);
  EXPECT_EQ(coalescer.Find(group)->deadline, now + kSecond);
  Take(0);
  now += 10;
  Expire();
  EXPECT_EQ(outcomes[0].status.message(), "late");
  EXPECT_EQ(outcomes[1].answers, 0);
  Answer(group, "value");
  EXPECT_EQ(outcomes[0].answers, 1);
  EXPECT_EQ(outcomes[1].body, "value");
}

TEST_F(CoalescerTest, AGroupWithoutWaitersIsOver) {
  api::Request request = Range("key");
  request.deadline = now + 10;
  const GroupId group = Add(request);
  now += 10;
  Expire();
  EXPECT_EQ(coalescer.Find(group), nullptr);
  EXPECT_TRUE(Take(0).empty());
  EXPECT_EQ(coalescer.groups(), 0U);
}

TEST_F(CoalescerTest, ALateAnswerFindsNothing) {
  const GroupId group = Add(Range("key"));
  Take(0);
  coalescer.Fail(group, MakeStatus(StatusCode::kUnavailable, "lost"));
  const GroupId reused = Add(Range("key"));
  EXPECT_EQ(reused.slot, group.slot);
  Answer(group, "late");
  EXPECT_EQ(outcomes[0].answers, 1);
  EXPECT_EQ(outcomes[1].answers, 0);
}

TEST_F(CoalescerTest, KeepsItsOwnCopyOfTheRequest) {
  std::string bytes = "key";
  const GroupId group = Add(Range(bytes));
  bytes = "xxx";
  for (int i = 0; i < 1000; ++i) Add(Range(std::to_string(i)));
  EXPECT_EQ(coalescer.Find(group)->bytes, "key");
}

TEST_F(CoalescerTest, ScatteredWaitersAskEachForThemselves) {
  const GroupId group = Add(Range("key"));
  Add(Range("key"));
  Add(Range("key"));
  Take(0);
  const std::vector<GroupId> others = coalescer.Scatter(now, group);
  ASSERT_EQ(others.size(), 2U);
  EXPECT_EQ(coalescer.waiters(group), 1U);
  EXPECT_EQ(coalescer.Find(others[0])->bytes, "key");
  const GroupId newcomer = Add(Range("key"));  // joins none of them
  EXPECT_EQ(coalescer.waiters(newcomer), 1U);
  EXPECT_EQ(Take(0).size(), 3U);
  Answer(group, "a");
  Answer(others[0], "b");
  Answer(others[1], "c");
  EXPECT_EQ(outcomes[0].body, "a");
  EXPECT_EQ(outcomes[1].body, "b");
  EXPECT_EQ(outcomes[2].body, "c");
  EXPECT_EQ(coalescer.requests(), 1U);
}

TEST_F(CoalescerTest, ARepliersNextRequestIsANewGroup) {
  struct Again final : api::Replier {
    explicit Again(std::function<void()> the_act) : act(std::move(the_act)) {}
    void Ok(std::span<const std::string_view>, const api::Served&) override { act(); }
    void Fail(const Status&) override {}
    void Parts(std::uint64_t /*total*/, std::unique_ptr<api::PartSource> /*source*/) override {}
    void FailNotProposed(const Status&) override {}
    std::function<void()> act;
  };
  const GroupId group = coalescer.Add(now, Range("key"),
                                      std::make_unique<Again>([this] { Add(Range("key")); }), true);
  Take(0);
  Answer(group, "value");
  EXPECT_EQ(Take(0).size(), 1U);
  EXPECT_EQ(outcomes[0].answers, 0);
}

// Random requests, turns, answers and losses: every request is answered once, and with an answer
// to a read that was written after it arrived.
TEST_F(CoalescerTest, EachRequestIsAnsweredOnceByAReadBegunAfterItArrived) {
  Rng rng(11);
  std::vector<std::pair<GroupId, Time>> in_flight;
  std::map<std::size_t, Time> arrived;
  for (int step = 0; step < 20'000; ++step) {
    now += static_cast<Time>(rng.Below(300));
    for (std::uint64_t i = rng.Below(4); i > 0; --i) {
      arrived[outcomes.size()] = now;
      Add(Range("key" + std::to_string(rng.Below(20))), rng.Below(10) != 0);
    }
    for (const GroupId id : Take(rng.Below(130))) in_flight.emplace_back(id, now);
    while (!in_flight.empty() && rng.Below(3) != 0) {
      const std::size_t at = rng.Below(in_flight.size());
      const auto [id, written] = in_flight[at];
      in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(at));
      Answer(id, std::to_string(written));
    }
  }
  now += kSecond;
  for (const GroupId id : Take(0)) in_flight.emplace_back(id, now);
  for (const auto& [id, written] : in_flight) Answer(id, std::to_string(written));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_EQ(outcomes[i].answers, 1) << i;
    ASSERT_GE(std::stoll(outcomes[i].body), arrived[i]) << i;
  }
  EXPECT_EQ(coalescer.groups(), 0U);
  EXPECT_EQ(coalescer.requests(), 0U);
}

}  // namespace
}  // namespace coppice::proxy
