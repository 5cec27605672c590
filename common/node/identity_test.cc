#include "common/node/identity.h"

#include <gtest/gtest.h>

namespace coppice::node {
namespace {

// What etcd 3.4 prints for `--name default --initial-cluster default=http://localhost:2380`.
TEST(Identity, EqualsEtcdsForItsDefaultCluster) {
  const NodeId id = VoterId({"http://localhost:2380"}, "etcd-cluster");
  EXPECT_EQ(id.value(), 0x8e9e05c52164694dULL);
  EXPECT_EQ(ClusterId({id}), 0xcdf818194e3a8c32ULL);
}

TEST(Identity, DoesNotDependOnTheOrderGiven) {
  EXPECT_EQ(VoterId({"http://a:1", "http://b:1"}, "t"), VoterId({"http://b:1", "http://a:1"}, "t"));
  EXPECT_EQ(ClusterId({NodeId(1), NodeId(2)}), ClusterId({NodeId(2), NodeId(1)}));
  EXPECT_NE(VoterId({"http://a:1"}, "t"), VoterId({"http://a:1"}, "u"));
}

}  // namespace
}  // namespace coppice::node
