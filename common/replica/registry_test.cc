#include "common/replica/registry.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/mvcc/store.h"
#include "common/replica/registry_keeper.h"

namespace coppice::replica {
namespace {

Registration Make(std::uint64_t id, std::string name, std::int64_t boot = 100) {
  Registration r;
  r.id = NodeId(id);
  r.name = std::move(name);
  r.client_urls = {"http://h:1"};
  r.boot = boot;
  return r;
}

struct Fixture {
  Registry::Outcome Do(const RegistryChange& change) {
    writes.clear();
    const auto outcome = registry.Apply(Index(++index), EncodeRegistryChange(change), writes);
    for (const auto& write : writes) {
      EXPECT_EQ(write.key.rfind(Registry::kPrefix, 0), 0U);
      if (write.value.empty()) {
        rows.erase(write.key);
      } else {
        rows[write.key] = write.value;
      }
    }
    return outcome;
  }
  std::uint64_t index = 10;
  Registry registry;
  std::vector<mvcc::MetaWrite> writes;
  std::map<std::string, std::string> rows;  // the store's meta
};

// Left out, it is the default: sent on, a zero would be read as that.
TEST(Registration, ATtlOfZeroIsMalformed) {
  std::string bytes;
  PutRegistration(bytes, Make(1, "l1"));
  Registration read;
  ASSERT_TRUE(ReadRegistration(bytes, read));
  bytes.append("\x48\x00", 2);
  EXPECT_FALSE(ReadRegistration(bytes, read));
}

TEST(Registry, JoinChangeAndExpireAndTheRowsSayTheSame) {
  Fixture f;
  EXPECT_TRUE(f.Do(RegistryJoin{Make(1, "l1")}).changed);
  EXPECT_TRUE(f.Do(RegistryJoin{Make(2, "l2")}).changed);
  EXPECT_FALSE(f.Do(RegistryJoin{Make(2, "l2")}).changed) << "nothing new";
  Registration moved = Make(2, "l2");
  moved.parent = NodeId(1);
  EXPECT_TRUE(f.Do(RegistryJoin{moved}).changed);
  EXPECT_TRUE(f.Do(RegistryExpire{NodeId(1), f.registry.Find(NodeId(1))->version}).changed);
  EXPECT_EQ(f.registry.nodes().size(), 1U);
  f.Do(RegistryJoin{Make(3, "l3")});
  f.Do(RegistryRemove{NodeId(3), "broken disk"});

  Registry loaded;
  for (const auto& [key, value] : f.rows) EXPECT_TRUE(loaded.LoadRow(key, value)) << key;
  EXPECT_EQ(loaded.EncodeContents(), f.registry.EncodeContents());
  Registry copied;
  ASSERT_TRUE(copied.LoadContents(f.registry.EncodeContents()));
  EXPECT_EQ(copied.EncodeContents(), f.registry.EncodeContents());
  EXPECT_EQ(copied.version(), f.index);
}

TEST(Registry, AnExpiryDecidedBeforeANodeCameBackDoesNothing) {
  Fixture f;
  f.Do(RegistryJoin{Make(1, "l1")});
  const std::uint64_t seen = f.registry.version();
  f.Do(RegistryJoin{Make(1, "l1", 200)});
  EXPECT_FALSE(f.Do(RegistryExpire{NodeId(1), seen}).changed);
  EXPECT_NE(f.registry.Find(NodeId(1)), nullptr);
}

TEST(Registry, ARemovedIdIsRefusedForEverWithTheReason) {
  Fixture f;
  f.Do(RegistryJoin{Make(1, "l1")});
  EXPECT_TRUE(f.Do(RegistryRemove{NodeId(1), "broken disk"}).changed);
  const auto outcome = f.Do(RegistryJoin{Make(1, "l1", 300)});
  EXPECT_NE(outcome.refused.find("broken disk"), std::string::npos);
  EXPECT_FALSE(f.Do(RegistryRemove{NodeId(7), ""}).changed);
}

TEST(Registry, OfTwoNodesWithOneNameTheOneThatStartedLaterHasIt) {
  Fixture f;
  f.Do(RegistryJoin{Make(1, "l1", 100)});
  EXPECT_TRUE(f.Do(RegistryJoin{Make(2, "l1", 200)}).changed);
  EXPECT_EQ(f.registry.Find(NodeId(1)), nullptr);
  const auto outcome = f.Do(RegistryJoin{Make(1, "l1", 100)});
  EXPECT_FALSE(outcome.changed);
  EXPECT_FALSE(outcome.refused.empty());
  EXPECT_FALSE(f.Do(RegistryJoin{Make(2, "l1", 150)}).changed) << "an older process of that id";
}

TEST(Registry, BadRegistrationsAndMalformedEntriesChangeNothing) {
  Fixture f;
  EXPECT_FALSE(f.Do(RegistryJoin{Make(0, "l1")}).changed);
  EXPECT_FALSE(f.Do(RegistryJoin{Make(1, "")}).changed);
  Registration strange = Make(1, "x");
  strange.role = static_cast<NodeRole>(4);
  EXPECT_FALSE(f.Do(RegistryJoin{strange}).changed);
  Registration eternal = Make(1, "l1");
  eternal.ttl = kRegistrationTtlMax + 1;
  EXPECT_FALSE(f.Do(RegistryJoin{eternal}).changed);
  EXPECT_FALSE(f.registry.Apply(Index(1), "\xff\xff", f.writes).changed);
  EXPECT_TRUE(f.rows.empty());
}

struct LeaderFixture : Fixture {
  void Pass(const std::vector<std::string>& payloads) {
    for (const std::string& payload : payloads) registry.Apply(Index(++index), payload, writes);
  }
  RegistryKeeper keeper{registry};
  Time now = 500 * kSecond;
};

TEST(RegistryKeeper, AJoinIsProposedOnceAndARenewalNever) {
  LeaderFixture f;
  f.keeper.BecomeLeader(f.now);
  std::vector<std::string> out;
  f.keeper.Received(f.now, {{}, {Make(1, "l1")}}, out);
  f.keeper.Received(f.now + 1, {{}, {Make(1, "l1")}}, out);
  ASSERT_EQ(out.size(), 1U);
  f.Pass(out);
  out.clear();
  f.keeper.Received(f.now + 2, {{{NodeId(1), 100, 0}}, {Make(1, "l1")}}, out);
  EXPECT_TRUE(out.empty());
  f.keeper.Received(f.now + 3, {{}, {Make(2, "l1", 50)}}, out);
  EXPECT_TRUE(out.empty()) << "what the registry would refuse is not proposed";
}

TEST(RegistryKeeper, SilenceOfATtlExpiresAndRenewalsAgeCounts) {
  LeaderFixture f;
  f.Do(RegistryJoin{Make(1, "l1")});
  f.Do(RegistryJoin{Make(2, "l2")});
  f.keeper.BecomeLeader(f.now);
  std::vector<std::string> out;
  f.now += 5 * kSecond;
  f.keeper.Received(f.now, {{{NodeId(1), 100, 2 * kSecond}}, {}}, out);
  f.keeper.Received(f.now, {{{NodeId(2), 99, 0}}, {}}, out);
  EXPECT_EQ(f.keeper.NextDeadline(), 510 * kSecond) << "l2's renewal is another process's";
  f.now = 510 * kSecond;
  f.keeper.Expire(f.now, out);
  ASSERT_EQ(out.size(), 1U);
  f.keeper.Expire(f.now, out);
  EXPECT_EQ(out.size(), 1U) << "on its way";
  f.Pass(out);
  EXPECT_EQ(f.registry.Find(NodeId(2)), nullptr);
  EXPECT_EQ(f.keeper.NextDeadline(), 513 * kSecond);
}

TEST(RegistryKeeper, ANewLeaderWaitsAFullTtl) {
  LeaderFixture f;
  f.Do(RegistryJoin{Make(1, "l1")});
  EXPECT_EQ(f.keeper.NextDeadline(), kNever);
  f.keeper.BecomeLeader(f.now);
  std::vector<std::string> out;
  f.keeper.Expire(f.now + 10 * kSecond - 1, out);
  EXPECT_TRUE(out.empty());
  f.keeper.StepDown();
  f.keeper.BecomeLeader(f.now + 9 * kSecond);
  EXPECT_EQ(f.keeper.NextDeadline(), f.now + 19 * kSecond);
}

TEST(RegistryRenewer, SendsItselfUntilRegisteredThenSignsOfLife) {
  LeaderFixture f;
  RegistryRenewer renewer(f.registry);
  renewer.SetOwn(Make(1, "l1"));
  EXPECT_EQ(renewer.Take(f.now).joins.size(), 1U);
  EXPECT_EQ(renewer.NextDeadline(), f.now + 500 * kMillisecond);
  f.Do(RegistryJoin{Make(1, "l1")});
  f.now = renewer.NextDeadline();
  EXPECT_EQ(f.now, 500 * kSecond + 2500 * kMillisecond);
  EXPECT_EQ(renewer.Take(f.now).renewals.size(), 1U);
  renewer.UpstreamChanged(f.now);
  EXPECT_LE(renewer.NextDeadline(), f.now);
  f.Do(RegistryRemove{NodeId(1), "broken disk"});
  EXPECT_NE(renewer.Refused().find("broken disk"), std::string::npos);
  EXPECT_EQ(renewer.NextDeadline(), kNever);
}

TEST(RegistryRenewer, BundlesWhatComesFromBelowAndAddsTheTimeItHeldIt) {
  LeaderFixture f;
  RegistryRenewer relay(f.registry);
  relay.Received(f.now, {{{NodeId(1), 100, 5}}, {}});
  relay.Received(f.now + 10, {{{NodeId(2), 100, 0}, {NodeId(1), 100, 0}}, {}});
  const Time due = relay.NextDeadline();
  EXPECT_EQ(due, f.now + 500 * kMillisecond);
  const RenewBundle bundle = relay.Take(due);
  ASSERT_EQ(bundle.renewals.size(), 2U);
  EXPECT_EQ(bundle.renewals[0].age, due - f.now - 10);
  relay.Received(f.now, {{}, {Make(4, "l4")}});
  EXPECT_EQ(relay.NextDeadline(), f.now + 10 * kMillisecond) << "joins are urgent";
}

}  // namespace
}  // namespace coppice::replica
