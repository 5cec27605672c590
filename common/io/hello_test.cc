#include "common/io/hello.h"

#include <gtest/gtest.h>

namespace coppice::io {
namespace {

TEST(Hello, RoundTripsAndIgnoresWhatANewerPeerAppends) {
  Hello hello;
  hello.cluster_id = 1;
  hello.node_id = 2;
  hello.boot_nonce = 3;
  hello.nonce = 4;
  hello.directory_id = 5;
  hello.role = ProcessRole::kProxy;
  hello.connection_class = ConnectionClass::kTail;
  hello.proof = "proof";
  std::string bytes;
  PutHello(bytes, hello);
  Hello read;
  ASSERT_TRUE(ReadHello(bytes + "newer fields", read));
  EXPECT_EQ(read.cluster_id, 1U);
  EXPECT_EQ(read.node_id, 2U);
  EXPECT_EQ(read.boot_nonce, 3U);
  EXPECT_EQ(read.nonce, 4U);
  EXPECT_EQ(read.directory_id, 5U);
  EXPECT_EQ(read.role, ProcessRole::kProxy);
  EXPECT_EQ(read.connection_class, ConnectionClass::kTail);
  EXPECT_EQ(read.proof, "proof");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(ReadHello(std::string_view(bytes).substr(0, cut), read));
  }
}

TEST(Hello, ProofsDependOnSecretNoncesAndSide) {
  const std::string proof = MakeProof("secret", true, 1, 2);
  EXPECT_EQ(proof.size(), 32U);
  EXPECT_EQ(proof, MakeProof("secret", true, 1, 2));
  EXPECT_NE(proof, MakeProof("other", true, 1, 2));
  EXPECT_NE(proof, MakeProof("secret", false, 1, 2));
  EXPECT_NE(proof, MakeProof("secret", true, 2, 1));
  EXPECT_EQ(MakeProof("", true, 1, 2), "");
}

TEST(Hello, AnotherClusterOrVersionIsRefusedInWords) {
  Hello ours;
  Hello theirs;
  ours.cluster_id = 1;
  EXPECT_EQ(RefusalOf(ours, theirs), "");  // a newcomer that does not know its cluster yet
  theirs.cluster_id = 2;
  EXPECT_NE(RefusalOf(ours, theirs).find("another cluster"), std::string::npos);
  theirs.cluster_id = 1;
  EXPECT_EQ(RefusalOf(ours, theirs), "");
  theirs.protocol_min = theirs.protocol_max = 9;
  EXPECT_NE(RefusalOf(ours, theirs).find("upgrade"), std::string::npos);
}

}  // namespace
}  // namespace coppice::io
