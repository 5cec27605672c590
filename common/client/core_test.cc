#include "common/client/core.h"

#include <gtest/gtest.h>

#include "common/client/core_harness.h"

namespace coppice::client {
namespace {

constexpr char kNoLeader[] = "etcdserver: no leader";
constexpr char kTimedOut[] = "etcdserver: request timed out";

CoreOptions InOrder() {
  CoreOptions options;
  options.prefer = Prefer::kInOrder;
  return options;
}

TEST(ClientCore, AnAnswerFinishesTheRequest) {
  CoreHarness h(1);
  const RequestId id = h.Start(Kind::kRead);
  h.Answer(h.Sent(), 5);
  EXPECT_EQ(h.Finished().id, id);
  EXPECT_EQ(h.Finished().outcome, Outcome::kOk);
  EXPECT_TRUE(h.Finished().status.ok());
  EXPECT_EQ(h.core.requests(), 0u);
  EXPECT_EQ(h.core.NextDeadline(), kNever);
}

TEST(ClientCore, AReadThatMeetsUnavailableIsSentToTheNextEndpointAtOnce) {
  CoreHarness h(3, InOrder());
  h.Start(Kind::kRead);
  EXPECT_EQ(h.Sent().endpoint, 0u);
  h.Fail(h.Sent(), StatusCode::kUnavailable, kTimedOut);
  EXPECT_EQ(h.Sent().endpoint, 1u);
  h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
  EXPECT_EQ(h.Sent().endpoint, 2u);
  h.Answer(h.Sent(), 5);
  EXPECT_EQ(h.Finished().outcome, Outcome::kOk);
}

TEST(ClientCore, AfterAllEndpointsItPausesLongerEachTime) {
  CoreHarness h(2);
  h.Start(Kind::kRead);
  Micros last = 0;
  for (int pass = 0; pass < 6; ++pass) {
    h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
    h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
    EXPECT_FALSE(h.Only<Send>().has_value());
    const Micros pause = h.core.NextDeadline() - h.now;
    EXPECT_GE(pause, last);
    EXPECT_LE(pause, kSecond);
    last = pause;
    h.Wait();
  }
  EXPECT_GE(last, 400 * kMillisecond);
}

TEST(ClientCore, AReadGivesUpAtItsDeadlineAndSaysWhatItMetLast) {
  CoreHarness h(1);
  h.Start(Kind::kRead, {}, h.now + 40 * kMillisecond);
  h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
  while (!h.Only<Finish>()) {
    h.Wait();
    if (h.Only<Send>()) h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
  }
  EXPECT_EQ(h.now, kSecond + 40 * kMillisecond);
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_NE(MessageOf(h.Finished().status).find(kNoLeader), std::string_view::npos);
}

TEST(ClientCore, AReadWhoseAnswerIsFinalIsNotRepeated) {
  CoreHarness h(2);
  h.Start(Kind::kRead);
  h.Fail(h.Sent(), StatusCode::kOutOfRange,
         "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kOutOfRange);
}

TEST(ClientCore, AReadWithoutAnswerIsAbandonedAndTriedElsewhere) {
  CoreHarness h(2, InOrder());
  h.Start(Kind::kRead);
  const Send first = h.Sent();
  h.Wait();
  EXPECT_EQ(h.now, first.deadline);
  ASSERT_TRUE(h.Only<Abandon>().has_value());
  EXPECT_EQ(h.Only<Abandon>()->attempt, first.attempt);
  EXPECT_EQ(h.Sent().endpoint, 1u);
  // What the first one says now is of no interest.
  const Send second = h.Sent();
  h.Answer(first, 9);
  EXPECT_TRUE(h.effects.empty());
  h.Answer(second, 5);
  EXPECT_EQ(h.core.session().revision(), 5);
}

TEST(ClientCore, AnAttemptThatTheDriverTimedOutIsTriedElsewhere) {
  CoreHarness h(2, InOrder());
  h.Start(Kind::kRead);
  h.Fail(h.Sent(), StatusCode::kDeadlineExceeded, "Deadline Exceeded");
  EXPECT_EQ(h.Sent().endpoint, 1u);
}

TEST(ClientCore, AMutationThatNeverLeftIsSentElsewhere) {
  CoreHarness h(2, InOrder());
  h.Start(Kind::kMutation);
  h.Refuse(h.Sent());
  EXPECT_EQ(h.Sent().endpoint, 1u);
  h.Answer(h.Sent(), 5);
  EXPECT_EQ(h.Finished().outcome, Outcome::kOk);
}

TEST(ClientCore, AMutationThatWasRefusedBeforeItWasProposedIsRepeated) {
  CoreHarness h(1);
  h.Start(Kind::kMutation);
  h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
  h.Wait();
  h.Fail(h.Sent(), StatusCode::kResourceExhausted, "etcdserver: too many requests");
  h.Wait();
  h.Answer(h.Sent(), 5);
  EXPECT_EQ(h.Finished().outcome, Outcome::kOk);
}

TEST(ClientCore, AMutationWhoseOutcomeIsUnknownIsNeverSentAgain) {
  for (const char* message :
       {kTimedOut, "etcdserver: leader changed", "Socket closed", "etcdserver: server stopped",
        "etcdserver: request timed out, possibly due to connection lost"}) {
    CoreHarness h(3);
    h.Start(Kind::kMutation);
    h.Fail(h.Sent(), StatusCode::kUnavailable, message);
    EXPECT_FALSE(h.Only<Send>().has_value());
    EXPECT_EQ(h.Finished().outcome, Outcome::kUnknown) << message;
    EXPECT_EQ(h.Finished().status.code(), StatusCode::kUnavailable);
  }
}

TEST(ClientCore, AMutationWaitsForItsAnswerUntilItsDeadline) {
  CoreHarness h(3);
  h.Start(Kind::kMutation, {}, h.now + 20 * kSecond);
  EXPECT_EQ(h.core.NextDeadline(), h.now + 20 * kSecond);
  h.Wait();
  EXPECT_TRUE(h.Only<Abandon>().has_value());
  EXPECT_EQ(h.Finished().outcome, Outcome::kUnknown);
}

TEST(ClientCore, AMutationThatRunsOutOfTimeInAPauseIsNotDone) {
  CoreHarness h(1);
  h.Start(Kind::kMutation, {}, h.now + kMillisecond);
  h.Refuse(h.Sent());
  h.Wait();
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kDeadlineExceeded);
}

TEST(ClientCore, GivesUpWhenNoEndpointIsReachedIfAskedTo) {
  CoreOptions options;
  options.unreached_passes_max = 1;
  CoreHarness h(2, options);
  h.Start(Kind::kRead);
  h.Refuse(h.Sent());
  h.Refuse(h.Sent());
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kUnavailable);
}

TEST(ClientCore, APinnedRequestGoesToItsEndpointAlone) {
  CoreHarness h(3);
  CallOptions options;
  options.endpoint = 2;
  h.Start(Kind::kRead, options);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(h.Sent().endpoint, 2u);
    h.Fail(h.Sent(), StatusCode::kUnavailable, kNoLeader);
    h.Wait();
  }
}

TEST(ClientCore, AnEndpointThatFailedIsPassedOver) {
  CoreHarness h(2, InOrder());
  h.Start(Kind::kRead);
  h.Refuse(h.Sent());
  h.Answer(h.Sent(), 1);
  h.Start(Kind::kRead);
  EXPECT_EQ(h.Sent().endpoint, 1u);
  h.Put(EndpointUp{0});
  h.Start(Kind::kRead);
  EXPECT_EQ(h.Sent().endpoint, 0u);
}

TEST(ClientCore, ARequestBegunTooLateIsNotSent) {
  CoreHarness h(1);
  h.Start(Kind::kMutation, {}, h.now);
  EXPECT_FALSE(h.Only<Send>().has_value());
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
}

TEST(ClientCore, CancelEndsWithTheOutcomeThatIsKnown) {
  CoreHarness h(1);
  h.Put(CancelRequest{h.Start(Kind::kMutation)});
  EXPECT_TRUE(h.Only<Abandon>().has_value());
  EXPECT_EQ(h.Finished().outcome, Outcome::kUnknown);
  h.Put(CancelRequest{h.Start(Kind::kRead)});
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
}

TEST(ClientCore, WithoutEndpointsEachRequestFails) {
  CoreHarness h(0);
  h.Start(Kind::kRead);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kInvalidArgument);
}

TEST(ClientCoreSession, EachRequestCarriesTheHighestRevisionSeen) {
  CoreHarness h(1);
  h.Start(Kind::kMutation);
  EXPECT_EQ(Sent(h.Sent().metadata, "coppice-min-revision"), "-");
  h.Answer(h.Sent(), 42);
  h.Start(Kind::kRead);
  EXPECT_EQ(Sent(h.Sent().metadata, "coppice-min-revision"), "c0/42");
  h.Answer(h.Sent(), 41);
  h.Start(Kind::kRead);
  EXPECT_EQ(Sent(h.Sent().metadata, "coppice-min-revision"), "c0/42");
}

TEST(ClientCoreSession, ARequestOutsideTheSessionNeitherSendsNorLearns) {
  CoreHarness h(1);
  CallOptions outside;
  outside.in_session = false;
  h.Start(Kind::kRead, outside);
  h.Answer(h.Sent(), 9);
  EXPECT_EQ(h.core.session().revision(), 0);
}

TEST(ClientCoreSession, AReplyOfAnotherClusterIsRefused) {
  CoreHarness h(1);
  h.Start(Kind::kRead);
  h.Answer(h.Sent(), 9);
  h.Start(Kind::kRead);
  h.Answer(h.Sent(), 700, 0xd1);
  EXPECT_EQ(h.Finished().outcome, Outcome::kNotDone);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(h.core.session().revision(), 9);
  h.Start(Kind::kMutation);
  h.Answer(h.Sent(), 701, 0xd1);
  EXPECT_EQ(h.Finished().outcome, Outcome::kUnknown);
}

}  // namespace
}  // namespace coppice::client
