#include <gtest/gtest.h>

#include "common/node/backend_fixture.h"

namespace coppice::node {
namespace {

TEST_F(BackendTest, RequestAndAnswerTravelWithAllThatBelongsToThem) {
  Connect();
  Outcome& outcome = Ask("question");
  ASSERT_EQ(node.asked.size(), 1U);
  EXPECT_EQ(node.asked[0].bytes, "question");
  EXPECT_EQ(node.asked[0].token, "who asks");
  EXPECT_EQ(node.asked[0].request.hops, 1);
  // The views stay good for as long as the node holds the replier.
  EXPECT_EQ(node.asked[0].request.bytes, "question");
  EXPECT_EQ(node.asked[0].request.token, "who asks");
  Answer("reply");
  EXPECT_EQ(outcome.body, "reply");
  EXPECT_EQ(outcome.served.by, NodeId(9));
  EXPECT_EQ(outcome.served.mode, ReadMode::kBounded);
  EXPECT_EQ(outcome.served.staleness, 3 * kMillisecond);
  EXPECT_EQ(outcome.served.compact_revision, 41);
  EXPECT_EQ(answered, 1);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, AnErrorKeepsItsCodeAndWhetherItWasProposed) {
  Connect();
  Outcome& failed = Ask("a");
  Outcome& not_proposed = Ask("b");
  node.asked[0].replier->Fail(MakeStatus(StatusCode::kOutOfRange, "compacted"));
  node.asked[1].replier->FailNotProposed(MakeStatus(StatusCode::kInvalidArgument, "no key"));
  network.DeliverAll();
  EXPECT_EQ(failed.status, MakeStatus(StatusCode::kOutOfRange, "compacted"));
  EXPECT_FALSE(failed.not_proposed);
  EXPECT_EQ(not_proposed.status, MakeStatus(StatusCode::kInvalidArgument, "no key"));
  EXPECT_TRUE(not_proposed.not_proposed);
  EXPECT_TRUE(refused.empty());
}

TEST_F(BackendTest, WhatWasNotProposedComesBackWhole) {
  Connect();
  Outcome& outcome = Ask("write");
  node.asked[0].replier->FailNotProposed(MakeStatus(StatusCode::kUnavailable, "not the leader"));
  network.DeliverAll();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].certainly_not_done);
  EXPECT_EQ(refused[0].Renew().bytes, "write");
  EXPECT_EQ(refused[0].Renew().token, "who asks");
  EXPECT_EQ(outcome.answers, 0);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, AnObserverMaySendWhenItHearsOfAnAnswer) {
  Connect();
  Outcome& ok = Ask("a");
  Outcome& failed = Ask("b");
  Ask("c");
  on_answered = [this] {
    api::Request request;
    request.method = api::Method::kRange;
    for (int i = 0; i < 100; ++i) {  // the slab grows
      backend->Send(request, std::make_unique<NotingReplier>(outcomes.emplace_back()));
    }
  };
  Answer("yes");
  node.asked[0].replier->Fail(MakeStatus(StatusCode::kOutOfRange, "compacted"));
  node.asked[1].replier->FailNotProposed(MakeStatus(StatusCode::kUnavailable, "not the leader"));
  network.DeliverAll();
  EXPECT_EQ(ok.body, "yes");
  EXPECT_EQ(failed.status.code(), StatusCode::kOutOfRange);
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].bytes, "c");
  EXPECT_EQ(backend->outstanding(), 300U);
}

TEST_F(BackendTest, ALossGivesBackWhatIsUnansweredAndTheNextConnectionStartsClean) {
  Connect();
  Outcome& outcome = Ask("first");
  server.CloseAll(MakeStatus(StatusCode::kUnavailable, "cut"));
  network.DeliverAll();
  EXPECT_FALSE(backend->up());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].Renew().bytes, "first");
  EXPECT_FALSE(left[0].certainly_not_done);
  EXPECT_EQ(outcome.answers, 0);
  Reconnect();
  Outcome& second = Ask("second");
  Answer("late");  // to "first", whose connection is gone
  EXPECT_EQ(second.answers, 0);
  Answer("in time");
  EXPECT_EQ(second.body, "in time");
}

TEST_F(BackendTest, WithdrawTakesWhatIsAskedForAndDropsItsAnswer) {
  Connect();
  Outcome& kept = Ask("kept");
  Outcome& taken = Ask("taken");
  int seen = 0;
  const auto out = backend->Withdraw([&](const api::Replier&) { return ++seen == 2; });
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, "taken");
  Answer("a");
  Answer("b");
  EXPECT_EQ(kept.body, "a");
  EXPECT_EQ(taken.answers, 0);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, WhatIsPastItsDeadlineTimesOut) {
  Connect();
  const Time now = loop.now();
  Outcome& late = Ask("late", now + kSecond);
  Outcome& later = Ask("later", now + 2 * kSecond);
  backend->Expire(now + kSecond);
  EXPECT_EQ(late.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(later.answers, 0);
  Answer("dropped");
  Answer("taken");
  EXPECT_EQ(late.answers, 1);
  EXPECT_EQ(later.body, "taken");
}

TEST_F(BackendTest, ItsEndFailsWhatIsOutstanding) {
  Connect();
  Outcome& outcome = Ask("question");
  backend.reset();
  EXPECT_EQ(outcome.status.code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace coppice::node
