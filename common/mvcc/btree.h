#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/mvcc/btree_node.h"

namespace coppice::mvcc {

// What a batch took out of the newest tree and older roots may still reach. Given to Tree::Free
// once no reader holds such a root (views.h).
struct Garbage {
  std::vector<Node*> nodes;
  std::vector<const Separator*> separators;
  std::vector<const Record*> records;  // one reference each
  std::vector<Older*> olders;
};

// The index: a copy-on-write B+-tree from keys to their newest record. A root stands for one
// immutable state; the writer's batch copies the nodes it touches, edits its own copies in place,
// and hands what they replaced to Commit's caller, or returns to the committed root by Rollback.
//
// Invariant: the root is an Inner; an Inner has a child; a leaf may be empty only as the single
// child of its parent. A record in the newest tree holds one reference. Thread: the writer. The
// functions below it read any root that is protected.
class Tree {
 public:
  Tree();
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  const Inner* root() const { return root_; }  // with the running batch's changes

  // Makes `record` the newest of its key; the one before it, if any, joins the superseded ones.
  // Returns that one, or null; it stays valid until the batch ends.
  const Record* Put(RecordPtr record);
  // Replaces the superseded versions of a key that exists; `older` may be null. Takes it.
  void SetOlder(std::string_view key, Older* older);
  // The key must exist.
  void Remove(std::string_view key);

  void Commit(Garbage& out);
  void Rollback();
  // While no reader has seen any root: keeps the changes, frees what they replaced, and lets the
  // batch go on editing in place.
  void Settle();
  void Free(Garbage& garbage);

 private:
  struct Step {
    Inner* node;
    int child;
  };
  struct Path {
    Step steps[16];
    int depth = 0;
  };
  Leaf* NewLeaf(const Leaf& like);
  Inner* NewInner(const Inner& like);
  Leaf* NewLeaf() { return NewLeaf(Leaf(batch_)); }
  Inner* NewInner() { return NewInner(Inner(batch_)); }
  Inner* EditRoot();
  Leaf* EditLeaf(Inner& parent, int i);
  Inner* EditInner(Inner& parent, int i);
  Inner* Descend(std::string_view key, Path& path);
  void SplitInner(Inner& parent, int i);
  void SplitLeaf(Inner& parent, int i, std::string_view key);
  void Replace(Leaf& leaf, int pos, const Record* record);
  bool RemoveBelow(Inner& node, std::string_view key);
  void Rebalance(Inner& node, int i);
  void Merge(Inner& node, int left);
  void DropChild(Inner& node, int i);
  void Collapse();
  static void UpdateSums(Inner& node, int i);

  NodePool pool_;
  std::uint64_t batch_ = 1;
  Garbage made_;     // by the running batch
  Garbage retired_;  // by the running batch
  Inner* root_;
  Inner* committed_;
};

// --- Reading a root.

struct Rank {
  std::int64_t live = 0;
  std::uint64_t bytes = 0;  // framed
};

// Null if the key was never written, or is gone with its history.
const Slot* Find(const Inner& root, std::string_view key);
// Brings what Find of each of `keys` looks at into the cache, and the records found: walks that go
// side by side wait for memory together, where one after the other each waits alone.
void Warm(const Inner& root, std::span<const std::string_view> keys);
// Of the live keys below `key`.
Rank RankBefore(const Inner& root, std::string_view key);
std::int64_t CountBefore(const Inner& root, std::string_view key);  // RankBefore().live, sooner
Rank Total(const Inner& root);
// Framed bytes of the `count` lowest live keys.
std::uint64_t BytesOfFirst(const Inner& root, std::int64_t count);

// Walks keys upwards, tombstones included.
class Iterator {
 public:
  explicit Iterator(const Inner& root) : root_(&root) {}
  void Seek(std::string_view key);  // to the first key >= `key`
  bool valid() const { return leaf_ != nullptr; }
  const Slot& slot() const { return leaf_->slots[pos_]; }
  std::string_view key() const { return leaf_->Key(pos_); }
  bool live() const { return leaf_->bytes[pos_] != 0; }
  void Next();

 private:
  void Prefetch(int pos) const;
  void Down(const Inner* node, int child);
  void NextLeaf();

  struct Step {
    const Inner* node;
    int child;
  };
  const Inner* root_;
  Step path_[16];
  int depth_ = 0;
  const Leaf* leaf_ = nullptr;
  int pos_ = 0;
};

}  // namespace coppice::mvcc
