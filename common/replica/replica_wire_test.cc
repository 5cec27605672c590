#include "common/replica/replica_wire.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/mvcc/store.h"
#include "common/replica/registry.h"

namespace coppice::replica {
namespace {

Registration Learner() {
  Registration r;
  r.id = NodeId(0xfedcba9876543210);
  r.name = "l1";
  r.client_urls = {"http://a:1", "http://b:2"};
  r.peer_urls = {"http://a:3"};
  r.metrics_url = "http://a:4";
  r.parent = NodeId(7);
  r.boot = 1234567890;
  return r;
}

TailEntries TwoEntries() {
  return {Index(9),
          {Entry::Make(Term(2), Index(7), RecordKind::kCommand, "seven"),
           Entry::Make(Term(3), Index(8), RecordKind::kNoop, "")}};
}

TEST(ReplicaWire, TailMessagesRoundTrip) {
  TailSubscribe subscribe;
  ASSERT_TRUE(DecodeTailSubscribe(EncodeTailSubscribe({9, NodeId(1), Index(2), Term(3), 4, true}),
                                  subscribe));
  EXPECT_EQ(subscribe.cluster_id, 9U);
  EXPECT_EQ(subscribe.term, Term(3));
  EXPECT_TRUE(subscribe.insist);

  TailEntries entries;
  ASSERT_TRUE(DecodeTailEntries(EncodeTailEntries(TwoEntries()), entries));
  ASSERT_EQ(entries.entries.size(), 2U);
  EXPECT_EQ(entries.commit, Index(9));
  EXPECT_EQ(entries.entries[0]->payload(), "seven");

  TailState state;
  ASSERT_TRUE(DecodeTailState(EncodeTailState({9, {NodeId(1), NodeId(2)}, true, true, Index(5), 0}),
                              state));
  EXPECT_EQ(state.path, (std::vector<NodeId>{NodeId(1), NodeId(2)}));
  EXPECT_EQ(state.round_age, 0);
  ASSERT_TRUE(DecodeTailState(EncodeTailState({9, {}, false, false, Index(5), -1}), state));
  EXPECT_EQ(state.round_age, -1);

  TailRefused refused;
  ASSERT_TRUE(
      DecodeTailRefused(EncodeTailRefused({TailRefusal::kUseFollower, {"a:1", "b:2"}}), refused));
  EXPECT_EQ(refused.instead.size(), 2U);
  TailBehind behind;
  ASSERT_TRUE(DecodeTailBehind(EncodeTailBehind({Index(77), {"a:1", "b:2"}}), behind));
  EXPECT_EQ(behind.first_index, Index(77));
  EXPECT_EQ(behind.voters, (std::vector<std::string>{"a:1", "b:2"}));
}

TEST(ReplicaWire, EntriesWithAHoleAreRefused) {
  TailEntries message = TwoEntries();
  message.entries.erase(message.entries.begin());
  message.entries.push_back(Entry::Make(Term(3), Index(10), RecordKind::kNoop, ""));
  TailEntries out;
  EXPECT_FALSE(DecodeTailEntries(EncodeTailEntries(message), out));
}

TEST(ReplicaWire, RoundsStatesAndRenewalsRoundTrip) {
  ReadIndex ask;
  ASSERT_TRUE(DecodeReadIndex(EncodeReadIndex({UINT64_MAX, true}), ask));
  EXPECT_EQ(ask.id, UINT64_MAX);
  ReadIndexReply reply;
  ASSERT_TRUE(DecodeReadIndexReply(EncodeReadIndexReply({5, true, Index(6)}), reply));
  EXPECT_TRUE(reply.ok);
  std::uint32_t credit = 0;
  ASSERT_TRUE(DecodeTailCredit(EncodeTailCredit(70000), credit));
  EXPECT_EQ(credit, 70000U);

  NodeState state;
  state.id = NodeId(4);
  state.revision = 99;
  state.staleness = 1500;
  state.cpu_permille = 250;
  NodeState back;
  ASSERT_TRUE(DecodeNodeState(EncodeNodeState(state), back));
  EXPECT_EQ(back.revision, 99);
  EXPECT_EQ(back.staleness, 1500);

  RenewBundle bundle{{{NodeId(1), 2, 3}}, {Learner()}};
  RenewBundle bundle_back;
  ASSERT_TRUE(DecodeRenewBundle(EncodeRenewBundle(bundle), bundle_back));
  EXPECT_EQ(bundle_back.renewals, bundle.renewals);
  EXPECT_EQ(bundle_back.joins, bundle.joins);
}

// Flips, cuts, inserts and random bytes: any answer will do but a crash.
TEST(ReplicaWire, NoBytesCrashADecoder) {
  Registry registry;
  std::vector<mvcc::MetaWrite> writes;
  registry.Apply(Index(3), EncodeRegistryChange(RegistryJoin{Learner()}), writes);
  const std::vector<std::string> seeds = {
      EncodeTailSubscribe({9, NodeId(1), Index(2), Term(3), 4, true}),
      EncodeTailEntries(TwoEntries()),
      EncodeTailState({9, {NodeId(1), NodeId(2)}, true, true, Index(5), 1}),
      EncodeTailRefused({TailRefusal::kUseFollower, {"a:1"}}),
      EncodeRenewBundle({{{NodeId(1), 2, 3}}, {Learner()}}),
      EncodeNodeState({}),
      EncodeRegistryChange(RegistryJoin{Learner()}),
      EncodeRegistryChange(RegistryRemove{NodeId(3), "gone"}),
      registry.EncodeContents(),
      EncodeReadIndexReply({5, true, Index(6)}),
      EncodeTailCredit(5)};
  const auto decode_all = [](const std::string& bytes) {
    TailSubscribe a;
    TailEntries b;
    TailBehind c;
    TailRefused d;
    TailState e;
    ReadIndex f;
    ReadIndexReply g;
    RenewBundle h;
    NodeState i;
    RegistryChange j;
    Registry k;
    std::uint32_t l = 0;
    std::vector<mvcc::MetaWrite> m;
    return DecodeTailSubscribe(bytes, a) + DecodeTailEntries(bytes, b) +
           DecodeTailBehind(bytes, c) + DecodeTailRefused(bytes, d) + DecodeTailState(bytes, e) +
           DecodeReadIndex(bytes, f) + DecodeReadIndexReply(bytes, g) +
           DecodeRenewBundle(bytes, h) + DecodeNodeState(bytes, i) +
           DecodeRegistryChange(bytes, j) + k.LoadContents(bytes) + DecodeTailCredit(bytes, l) +
           k.Apply(Index(1), bytes, m).changed + k.LoadRow("registry/node/0000000000000001", bytes);
  };
  Rng rng(1);
  int decoded = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = seeds[rng.Below(seeds.size())];
    for (std::uint64_t n = rng.Below(4) + 1; n > 0 && !bytes.empty(); --n) {
      const std::size_t at = rng.Below(bytes.size());
      switch (rng.Below(4)) {
        case 0:
          bytes[at] = static_cast<char>(rng.Next());
          break;
        case 1:
          bytes.resize(at);
          break;
        case 2:
          bytes.insert(at, 1, static_cast<char>(rng.Next()));
          break;
        default:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.Below(8)));
      }
    }
    decoded += decode_all(bytes);
  }
  EXPECT_GT(decoded, 0);
}

}  // namespace
}  // namespace coppice::replica
