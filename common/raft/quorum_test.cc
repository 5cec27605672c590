#include "common/raft/quorum.h"

#include <gtest/gtest.h>

#include <map>

#include "common/base/rng.h"

namespace coppice::raft {
namespace {

std::vector<NodeId> Ids(std::initializer_list<std::uint64_t> ids) {
  std::vector<NodeId> out;
  for (const std::uint64_t id : ids) out.emplace_back(id);
  return out;
}

Configuration Simple(std::initializer_list<std::uint64_t> voters) {
  return {Ids(voters), {}, {}};
}

std::uint64_t ValueOf(const Configuration& configuration,
                      const std::map<std::uint64_t, std::uint64_t>& values) {
  return QuorumValue(configuration, [&](NodeId id) -> std::uint64_t {
    const auto it = values.find(id.value());
    return it == values.end() ? 0 : it->second;
  });
}

TEST(Quorum, ValueIsTheMajorityThHighest) {
  EXPECT_EQ(ValueOf(Simple({1}), {{1, 7}}), 7U);
  EXPECT_EQ(ValueOf(Simple({1, 2}), {{1, 7}, {2, 5}}), 5U);
  EXPECT_EQ(ValueOf(Simple({1, 2, 3}), {{1, 7}, {2, 5}, {3, 1}}), 5U);
  EXPECT_EQ(ValueOf(Simple({1, 2, 3, 4}), {{1, 7}, {2, 5}, {3, 4}, {4, 1}}), 4U);
  EXPECT_EQ(ValueOf(Simple({1, 2, 3, 4, 5}), {{1, 9}, {2, 8}, {3, 3}}), 3U);
}

TEST(Quorum, NobodyAgreesWithoutVoters) {
  EXPECT_EQ(ValueOf({}, {{1, 7}}), 0U);
  EXPECT_FALSE(IsQuorum({}, [](NodeId) { return true; }));
}

TEST(Quorum, JointValueIsTheLowerOfBothHalves) {
  const Configuration joint{Ids({1, 2, 3}), Ids({3, 4, 5}), {}};
  EXPECT_EQ(ValueOf(joint, {{1, 9}, {2, 9}, {3, 9}, {4, 2}, {5, 1}}), 2U);
  EXPECT_EQ(ValueOf(joint, {{1, 1}, {2, 1}, {3, 9}, {4, 9}, {5, 9}}), 1U);
}

TEST(Quorum, LearnersNeverCount) {
  const Configuration configuration{Ids({1, 2, 3}), {}, Ids({4, 5})};
  EXPECT_EQ(ValueOf(configuration, {{1, 1}, {4, 9}, {5, 9}}), 0U);
  EXPECT_FALSE(IsVoter(configuration, NodeId(4)));
  EXPECT_TRUE(IsMember(configuration, NodeId(4)));
  EXPECT_EQ(MembersOf(configuration), Ids({1, 2, 3, 4, 5}));
}

TEST(Quorum, VotesAreLostOnceNoQuorumIsPossible) {
  std::map<std::uint64_t, bool> votes;
  const auto tally = [&] {
    return CountVotes(Simple({1, 2, 3, 4}), [&](NodeId id) -> std::optional<bool> {
      const auto it = votes.find(id.value());
      if (it == votes.end()) return std::nullopt;
      return it->second;
    });
  };
  EXPECT_EQ(tally(), Tally::kPending);
  votes = {{1, true}, {2, false}};
  EXPECT_EQ(tally(), Tally::kPending);
  votes = {{1, true}, {2, false}, {3, false}};
  EXPECT_EQ(tally(), Tally::kLost);
  votes = {{1, true}, {2, true}, {3, true}};
  EXPECT_EQ(tally(), Tally::kWon);
}

TEST(Quorum, JointVotesNeedBothMajorities) {
  const Configuration joint{Ids({1, 2, 3}), Ids({4, 5, 6}), {}};
  const auto tally = [&](const std::function<std::optional<bool>(NodeId)>& vote) {
    return CountVotes(joint, vote);
  };
  EXPECT_EQ(tally([](NodeId id) -> std::optional<bool> {
              if (id <= NodeId(3)) return true;
              return std::nullopt;
            }),
            Tally::kPending);
  EXPECT_EQ(tally([](NodeId id) -> std::optional<bool> { return id <= NodeId(3); }), Tally::kLost);
  EXPECT_EQ(tally([](NodeId id) -> std::optional<bool> { return id != NodeId(3); }), Tally::kWon);
}

TEST(Quorum, OneVoterMoreOrLessIsSafe) {
  EXPECT_TRUE(IsSafeChange(Simple({1, 2, 3}), Simple({1, 2, 3, 4})));
  EXPECT_TRUE(IsSafeChange(Simple({1, 2, 3}), Simple({1, 3})));
  EXPECT_FALSE(IsSafeChange(Simple({1, 2, 3}), Simple({1, 2, 4})));
  EXPECT_FALSE(IsSafeChange(Simple({1}), Simple({})));
  EXPECT_FALSE(IsSafeChange(Simple({1, 2}), Simple({2, 1})));
}

TEST(Quorum, ALearnerThatVotesIsRefused) {
  EXPECT_FALSE(IsSafeChange(Simple({1, 2}), {Ids({1, 2}), {}, Ids({2})}));
  EXPECT_TRUE(IsSafeChange(Simple({1, 2}), {Ids({1, 2}), {}, Ids({3})}));
}

TEST(Quorum, JointConfigurationsAreEnteredAndLeftOnly) {
  const Configuration joint{Ids({4, 5, 6}), Ids({1, 2, 3}), {}};
  EXPECT_TRUE(IsSafeChange(Simple({1, 2, 3}), joint));
  EXPECT_FALSE(IsSafeChange(Simple({1, 2, 4}), joint));
  EXPECT_TRUE(IsSafeChange(joint, Simple({4, 5, 6})));
  EXPECT_FALSE(IsSafeChange(joint, Simple({1, 2, 3})));
  EXPECT_FALSE(IsSafeChange(joint, joint));
}

Configuration RandomConfiguration(Rng& rng) {
  Configuration configuration;
  for (std::uint64_t id = 1; id <= 5; ++id) {
    if (rng.Chance(0.6)) configuration.voters.emplace_back(id);
    if (rng.Chance(0.3)) configuration.voters_old.emplace_back(id);
  }
  if (rng.Chance(0.5)) configuration.voters_old.clear();
  return configuration;
}

// Every set of nodes is tried as a quorum of both.
bool QuorumsIntersect(const Configuration& a, const Configuration& b) {
  const auto quorum = [](const Configuration& configuration, unsigned set) {
    return IsQuorum(configuration, [set](NodeId id) { return (set >> id.value() & 1U) != 0; });
  };
  for (unsigned set = 0; set < 64; ++set) {
    if (quorum(a, set) && quorum(b, ~set)) return false;
  }
  return true;
}

TEST(Quorum, QuorumsOfSafeChangesIntersect) {
  Rng rng(1);
  int safe = 0;
  for (int i = 0; i < 20000; ++i) {
    const Configuration from = RandomConfiguration(rng);
    const Configuration to = RandomConfiguration(rng);
    if (from.voters.empty() || !IsSafeChange(from, to)) continue;
    ++safe;
    EXPECT_TRUE(QuorumsIntersect(from, to));
  }
  EXPECT_GT(safe, 500);
}

TEST(Quorum, TheValueIsReachedByAQuorumAndNoHigherOneIs) {
  Rng rng(2);
  for (int i = 0; i < 5000; ++i) {
    const Configuration configuration = RandomConfiguration(rng);
    if (configuration.voters.empty()) continue;
    std::map<std::uint64_t, std::uint64_t> values;
    for (std::uint64_t id = 1; id <= 5; ++id) values[id] = rng.Below(6);
    const std::uint64_t value = ValueOf(configuration, values);
    EXPECT_TRUE(IsQuorum(configuration, [&](NodeId id) { return values[id.value()] >= value; }));
    EXPECT_FALSE(IsQuorum(configuration, [&](NodeId id) { return values[id.value()] > value; }));
  }
}

TEST(Configuration, CodecKeepsAllLists) {
  const Configuration joint{Ids({4, 5, 6}), Ids({1, 2, 3}), Ids({7})};
  Configuration out;
  ASSERT_TRUE(DecodeConfiguration(EncodeConfiguration(joint), out));
  EXPECT_EQ(out, joint);
  ASSERT_TRUE(DecodeConfiguration(EncodeConfiguration({}), out));
  EXPECT_EQ(out, Configuration{});
}

TEST(Configuration, MalformedBytesAreRefused) {
  const std::string bytes = EncodeConfiguration(Simple({1, 2, 3}));
  Configuration out;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeConfiguration(bytes.substr(0, size), out)) << size;
  }
  EXPECT_FALSE(DecodeConfiguration(bytes + "x", out));
  EXPECT_FALSE(DecodeConfiguration(EncodeConfiguration({Ids({2, 1}), {}, {}}), out));
}

}  // namespace
}  // namespace coppice::raft
