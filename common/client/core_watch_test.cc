#include <gtest/gtest.h>

#include "common/client/core_harness.h"

namespace coppice::client {
namespace {

WatchReply Created(Revision revision) {
  WatchReply reply;
  reply.header = {0xc0, revision};
  reply.created = true;
  return reply;
}
WatchReply Events(Revision last, bool fragment = false) {
  WatchReply reply;
  reply.header = {0xc0, last};
  reply.last_event = last;
  reply.fragment = fragment;
  return reply;
}
WatchReply Progress(Revision revision) {
  WatchReply reply;
  reply.header = {0xc0, revision};
  return reply;
}

class ClientCoreWatch : public testing::Test {
 protected:
  void Begin(Revision start) {
    h.last_id = 1;
    h.Put(client::Begin{.id = 1, .kind = Kind::kWatch, .watch_start = start});
    stream = h.Sent();
  }
  void Receive(const WatchReply& reply) { h.Put(WatchReceived{stream.id, stream.attempt, reply}); }
  void Break(StatusCode code = StatusCode::kUnavailable) {
    h.Fail(stream, code, "Socket closed", false, true);
    if (!h.Only<Send>()) h.Wait();
    stream = h.Sent();
  }
  void ExpectDelivered(Revision from, Revision through) {
    const auto delivered = h.Only<WatchDeliver>();
    ASSERT_TRUE(delivered.has_value());
    EXPECT_EQ(delivered->from, from);
    EXPECT_EQ(delivered->through, through);
  }

  CoreHarness h{2};
  Send stream;
};

TEST_F(ClientCoreWatch, AStreamThatBreaksIsResumedAfterTheLastRevisionDelivered) {
  Begin(0);
  EXPECT_EQ(stream.watch_start, 0);
  Receive(Created(10));
  EXPECT_EQ(h.Only<WatchOpened>()->revision, 10);
  Receive(Events(12));
  ExpectDelivered(11, 12);
  const std::size_t first = stream.endpoint;
  Break();
  EXPECT_NE(stream.endpoint, first);
  EXPECT_EQ(stream.watch_start, 13);
  Receive(Created(40));
  EXPECT_FALSE(h.Only<WatchOpened>().has_value());
  Receive(Events(13));
  ExpectDelivered(13, 13);
}

TEST_F(ClientCoreWatch, ABreakBeforeTheFirstEventLosesNone) {
  Begin(0);
  Receive(Created(10));
  Break();
  EXPECT_EQ(stream.watch_start, 11);
}

TEST_F(ClientCoreWatch, ABreakBeforeItIsCreatedAsksTheSameAgain) {
  Begin(7);
  Break();
  EXPECT_EQ(stream.watch_start, 7);
  Receive(Created(30));
  EXPECT_EQ(h.Only<WatchOpened>()->revision, 6);
}

TEST_F(ClientCoreWatch, ProgressMovesTheResumePoint) {
  Begin(0);
  Receive(Created(10));
  Receive(Progress(25));
  ExpectDelivered(11, 25);
  Break();
  EXPECT_EQ(stream.watch_start, 26);
}

TEST_F(ClientCoreWatch, TheHeaderOfEventsPromisesNothing) {
  Begin(3);
  Receive(Created(50));
  WatchReply behind = Events(5);
  behind.header.revision = 50;
  Receive(behind);
  ExpectDelivered(3, 5);
}

TEST_F(ClientCoreWatch, FragmentsAreDeliveredTogetherWithTheLast) {
  Begin(0);
  Receive(Created(10));
  Receive(Events(11, true));
  EXPECT_TRUE(h.effects.empty());
  Receive(Events(11));
  ExpectDelivered(11, 11);
}

TEST_F(ClientCoreWatch, FragmentsOfABrokenStreamAreAskedForAgain) {
  Begin(0);
  Receive(Created(10));
  Receive(Events(11, true));
  Break();
  EXPECT_EQ(stream.watch_start, 11);
  Receive(Created(10));
  Receive(Events(11));
  ExpectDelivered(11, 11);
}

TEST_F(ClientCoreWatch, WhatWasDeliveredIsNotDeliveredAgain) {
  Begin(0);
  Receive(Created(10));
  Receive(Events(12));
  Receive(Events(12));
  EXPECT_TRUE(h.effects.empty());
  Receive(Events(14));
  ExpectDelivered(13, 14);
}

TEST_F(ClientCoreWatch, ANewWatchDoesNotSeeWhatTheSessionHasSeen) {
  h.Start(Kind::kRead);
  h.Answer(h.Sent(), 20);
  h.Put(client::Begin{.id = 9, .kind = Kind::kWatch});
  stream = h.Sent();
  EXPECT_EQ(Sent(stream.metadata, "coppice-min-revision"), "c0/20");
  // An etcd that lags knows nothing of the metadata.
  Receive(Created(15));
  EXPECT_EQ(h.Only<WatchOpened>()->revision, 20);
  Receive(Events(18));
  EXPECT_TRUE(h.effects.empty());
}

TEST_F(ClientCoreWatch, EventsRaiseTheSessionsRevision) {
  Begin(0);
  Receive(Created(10));
  Receive(Events(12));
  h.Start(Kind::kRead);
  EXPECT_EQ(Sent(h.Sent().metadata, "coppice-min-revision"), "c0/12");
}

TEST_F(ClientCoreWatch, CompactionEndsItWithTheRevisionToReadFrom) {
  Begin(3);
  WatchReply canceled;
  canceled.header = {0xc0, 50};
  canceled.canceled = true;
  canceled.compact_revision = 30;
  Receive(canceled);
  EXPECT_EQ(h.Finished().compact_revision, 30);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(h.Only<Abandon>().has_value());
}

TEST_F(ClientCoreWatch, WithoutALeaderItIsOpenedElsewhere) {
  Begin(0);
  Receive(Created(10));
  WatchReply canceled;
  canceled.canceled = true;
  canceled.cancel_reason = "etcdserver: no leader";
  const std::size_t first = stream.endpoint;
  Receive(canceled);
  EXPECT_NE(h.Sent().endpoint, first);
  EXPECT_EQ(h.Sent().watch_start, 11);
}

TEST_F(ClientCoreWatch, AnyOtherCancelEndsItWithItsReason) {
  Begin(0);
  WatchReply canceled;
  canceled.created = canceled.canceled = true;
  canceled.cancel_reason = "mvcc: watcher range is empty";
  Receive(canceled);
  EXPECT_EQ(h.Finished().status.code(), StatusCode::kCancelled);
  EXPECT_EQ(MessageOf(h.Finished().status), "mvcc: watcher range is empty");
}

TEST_F(ClientCoreWatch, OneThatDoesNotOpenIsTriedElsewhereAndAnOpenOneMayBeSilent) {
  Begin(0);
  const std::size_t first = stream.endpoint;
  h.Wait();
  stream = h.Sent();
  EXPECT_NE(stream.endpoint, first);
  Receive(Created(10));
  EXPECT_EQ(h.core.NextDeadline(), kNever);
}

TEST_F(ClientCoreWatch, AServerThatEndsEachStreamAtOnceIsNotAskedInALoop) {
  CoreHarness one(1);
  one.Put(client::Begin{.id = 1, .kind = Kind::kWatch});
  const Send sent = one.Sent();
  one.Put(WatchReceived{1, sent.attempt, Created(10)});
  one.Put(Failed{1, sent.attempt, OkStatus(), false, false});
  EXPECT_FALSE(one.Only<Send>().has_value());
  EXPECT_GT(one.core.NextDeadline(), one.now);
}

TEST_F(ClientCoreWatch, OneThatWasOpenOutlivesAnyOutage) {
  CoreOptions options;
  options.unreached_passes_max = 1;
  CoreHarness one(1, options);
  one.Put(client::Begin{.id = 1, .kind = Kind::kWatch});
  one.Put(WatchReceived{1, one.Sent().attempt, Created(10)});
  Send sent{.id = 1, .attempt = 1};
  for (int i = 0; i < 10; ++i) {
    one.Refuse(sent);
    EXPECT_FALSE(one.Only<Finish>().has_value());
    one.Wait();
    sent = one.Sent();
  }
}

}  // namespace
}  // namespace coppice::client
