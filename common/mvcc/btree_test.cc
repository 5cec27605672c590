#include "common/mvcc/btree.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "common/base/rng.h"

namespace coppice::mvcc {
namespace {

struct Expected {
  bool live = false;
  std::uint64_t bytes = 0;
};
using Model = std::map<std::string, Expected>;

// Keys with long common prefixes, shared 8-byte heads, prefixes of each other and zero bytes.
std::string RandomKey(Rng& rng) {
  std::string key = rng.Chance(0.7) ? std::string(rng.Below(2) * 60, 'p') + "/registry/pods/" : "";
  const std::uint64_t length = 1 + rng.Below(12);
  for (std::uint64_t i = 0; i < length; ++i) {
    key.push_back(rng.Chance(0.3) ? '\0' : static_cast<char>('a' + rng.Below(3)));
  }
  return key;
}

void Put(Tree& tree, Model& model, const std::string& key, Revision revision, bool tombstone) {
  const RecordPtr record =
      tombstone ? Record::MakeTombstone(key, {revision, 0})
                : Record::Make(
                      {.key = key, .value = "v", .create = 1, .id = {revision, 0}, .version = 1});
  tree.Put(record);
  model[key] = {!tombstone, tombstone ? 0 : FramedSize(*record)};
}

void ExpectEqual(const Tree& tree, const Model& model, Rng& rng) {
  Iterator it(*tree.root());
  it.Seek("");
  Rank rank;
  const std::string probe = RandomKey(rng);
  Rank before;
  for (const auto& [key, expected] : model) {
    ASSERT_TRUE(it.valid());
    ASSERT_EQ(it.key(), key);
    ASSERT_EQ(it.live(), expected.live);
    if (key < probe)
      before = {before.live + (expected.live ? 1 : 0), before.bytes + expected.bytes};
    if (expected.live && rng.Chance(0.05)) {
      ASSERT_EQ(BytesOfFirst(*tree.root(), rank.live), rank.bytes);
    }
    rank = {rank.live + (expected.live ? 1 : 0), rank.bytes + expected.bytes};
    it.Next();
  }
  ASSERT_FALSE(it.valid());
  ASSERT_EQ(Total(*tree.root()).live, rank.live);
  ASSERT_EQ(Total(*tree.root()).bytes, rank.bytes);
  ASSERT_EQ(RankBefore(*tree.root(), probe).live, before.live);
  ASSERT_EQ(RankBefore(*tree.root(), probe).bytes, before.bytes);
  Iterator from(*tree.root());
  from.Seek(probe);
  const auto at = model.lower_bound(probe);
  ASSERT_EQ(from.valid(), at != model.end());
  if (from.valid()) {
    ASSERT_EQ(from.key(), at->first);
  }
}

class TreeTest : public ::testing::TestWithParam<int> {};

TEST_P(TreeTest, BehavesAsAMapThroughCommitsAndRollbacks) {
  Rng rng(static_cast<std::uint64_t>(GetParam()));
  Tree tree;
  Model model;
  Model committed;
  Revision revision = 1;
  for (int round = 0; round < 300; ++round) {
    const bool shrinking = round % 100 > 60;
    const std::uint64_t edits = 1 + rng.Below(150);
    for (std::uint64_t i = 0; i < edits; ++i) {
      const std::string key = RandomKey(rng);
      auto at = model.lower_bound(key);
      if (at != model.end() && rng.Chance(shrinking ? 0.9 : 0.2)) {
        tree.Remove(at->first);
        model.erase(at);
      } else {
        Put(tree, model, key, ++revision, rng.Chance(0.2));
      }
    }
    ExpectEqual(tree, model, rng);
    if (rng.Chance(0.2)) {
      tree.Rollback();
      model = committed;
      ExpectEqual(tree, model, rng);
    } else {
      Garbage garbage;
      tree.Commit(garbage);
      tree.Free(garbage);
      committed = model;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, TreeTest, ::testing::Range(1, 6));

TEST(Tree, RemovesEverythingInAnyOrder) {
  Tree tree;
  Model model;
  Rng rng(7);
  for (int i = 0; i < 20000; ++i) Put(tree, model, std::to_string(i), i + 2, false);
  Garbage garbage;
  tree.Commit(garbage);
  tree.Free(garbage);
  while (!model.empty()) {
    auto at = model.lower_bound(std::to_string(rng.Below(20000)));
    if (at == model.end()) at = model.begin();
    tree.Remove(at->first);
    model.erase(at);
    if (model.size() % 1000 == 0) ExpectEqual(tree, model, rng);
  }
  EXPECT_EQ(Find(*tree.root(), "1"), nullptr);
}

TEST(Tree, AnOlderRootStaysAsItWas) {
  Tree tree;
  Model model;
  for (int i = 0; i < 1000; ++i) Put(tree, model, std::to_string(i), i + 2, false);
  Garbage garbage;
  tree.Commit(garbage);
  tree.Free(garbage);
  const Inner* old = tree.root();
  Model later = model;
  for (int i = 0; i < 1000; ++i) Put(tree, later, std::to_string(i * 3), i + 2000, i % 2 == 0);
  tree.Commit(garbage);
  EXPECT_EQ(Total(*old).live, 1000);
  EXPECT_EQ(Find(*old, "999")->record->mod_revision(), 1001);
  EXPECT_EQ(Find(*tree.root(), "999")->older->items().size(), 1U);
  tree.Free(garbage);
}

}  // namespace
}  // namespace coppice::mvcc
