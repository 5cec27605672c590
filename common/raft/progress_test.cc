#include "common/raft/progress.h"

#include <gtest/gtest.h>

namespace coppice::raft {
namespace {

using State = Progress::State;

Progress Replicating(std::uint64_t match) {
  Progress peer(Index(match + 1), 0);
  peer.Accepted(Index(match));
  return peer;
}

TEST(Progress, OneProbeIsOutAtATime) {
  Progress peer(Index(10), 0);
  EXPECT_TRUE(peer.CanSend(2));
  peer.Sent(Index(12));
  EXPECT_FALSE(peer.CanSend(2));
  EXPECT_EQ(peer.next(), Index(10)) << "what a probe carries may be refused";
  peer.Accepted(Index(12));
  EXPECT_EQ(peer.state(), State::kReplicate);
  EXPECT_EQ(peer.next(), Index(13));
}

TEST(Progress, AppendsInFlightAreBounded) {
  Progress peer = Replicating(9);
  peer.Sent(Index(10));
  peer.Sent(Index(12));
  EXPECT_FALSE(peer.CanSend(2));
  peer.Accepted(Index(11));
  EXPECT_TRUE(peer.CanSend(2));
  EXPECT_EQ(peer.in_flight(), 1U);
  peer.Accepted(Index(12));
  EXPECT_EQ(peer.in_flight(), 0U);
}

TEST(Progress, ARefusalGoesBackToWhereTheLogsCanAgree) {
  Progress peer = Replicating(5);
  peer.Sent(Index(20));
  EXPECT_TRUE(peer.Refused(Index(20), Index(8)));
  EXPECT_EQ(peer.state(), State::kProbe);
  EXPECT_EQ(peer.next(), Index(9));
  EXPECT_TRUE(peer.Refused(Index(8), Index(2)));
  EXPECT_EQ(peer.next(), Index(6)) << "never below what matches";
}

TEST(Progress, LateRefusalsChangeNothing) {
  Progress peer = Replicating(5);
  EXPECT_FALSE(peer.Refused(Index(5), Index(3)));
  EXPECT_EQ(peer.state(), State::kReplicate);
  Progress probing(Index(10), 0);
  EXPECT_FALSE(probing.Refused(Index(7), Index(3)));
  EXPECT_EQ(probing.next(), Index(10));
}

TEST(Progress, LateAcceptancesDoNotGoBack) {
  Progress peer = Replicating(9);
  peer.Accepted(Index(4));
  EXPECT_EQ(peer.match(), Index(9));
  EXPECT_EQ(peer.next(), Index(10));
}

TEST(Progress, NothingIsSentDuringASnapshotOrARead) {
  Progress peer = Replicating(9);
  peer.Reading();
  EXPECT_FALSE(peer.CanSend(2));
  peer.ReadDone();
  EXPECT_TRUE(peer.CanSend(2));
  peer.BecomeSnapshot();
  EXPECT_FALSE(peer.CanSend(2));
  peer.Accepted(Index(50));
  EXPECT_EQ(peer.next(), Index(51));
}

TEST(Progress, RoundTripsAreSmoothedAndWaitingCounts) {
  Progress peer = Replicating(9);
  EXPECT_EQ(peer.ResponseTime(0), kMillisecond);
  peer.SentRound(1, 100);
  peer.SentRound(2, 150);
  peer.Echoed(1, 300);
  EXPECT_EQ(peer.srtt, 200);
  peer.SentRound(3, 1000);
  EXPECT_EQ(peer.ResponseTime(1050), 200);
  EXPECT_EQ(peer.ResponseTime(6000), 5000);
  peer.Echoed(3, 6000);
  EXPECT_EQ(peer.srtt, (7 * 200 + 5000) / 8);
}

}  // namespace
}  // namespace coppice::raft
