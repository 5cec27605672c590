#include "common/client/session_revision.h"

#include <gtest/gtest.h>

namespace coppice::client {
namespace {

TEST(SessionRevision, KeepsTheHighest) {
  SessionRevision session;
  EXPECT_EQ(session.Token(), "");
  EXPECT_TRUE(session.Observe({0xabc, 7}));
  EXPECT_TRUE(session.Observe({0xabc, 3}));
  EXPECT_TRUE(session.Observe({0xabc, 0}));
  EXPECT_EQ(session.Token(), "abc/7");
}

TEST(SessionRevision, AnotherClustersRevisionIsNotTaken) {
  SessionRevision session;
  EXPECT_TRUE(session.Observe({1, 7}));
  EXPECT_FALSE(session.Observe({2, 9}));
  EXPECT_EQ(session.Token(), "1/7");
}

TEST(SessionRevision, WithoutAClusterIdTheRevisionStandsAlone) {
  SessionRevision session;
  EXPECT_TRUE(session.Observe({0, 7}));
  EXPECT_EQ(session.Token(), "7");
}

TEST(MetadataFor, SaysWhatTheOptionsAskFor) {
  SessionRevision session;
  session.Observe({0x2a, 5});
  CallOptions options;
  options.mode = ReadMode::kBounded;
  options.max_staleness = 250 * kMillisecond;
  EXPECT_EQ(MetadataFor(options, session), (Metadata{{"coppice-consistency", "bounded"},
                                                     {"coppice-max-staleness", "250000us"},
                                                     {"coppice-min-revision", "2a/5"}}));
  options.in_session = false;
  EXPECT_EQ(MetadataFor(options, session).size(), 2u);
}

TEST(MetadataFor, WhatIsGivenByNameWins) {
  SessionRevision session;
  session.Observe({0x2a, 5});
  CallOptions options;
  options.metadata = {{"coppice-min-revision", "9"}, {"token", "t"}};
  EXPECT_EQ(MetadataFor(options, session), options.metadata);
}

}  // namespace
}  // namespace coppice::client
