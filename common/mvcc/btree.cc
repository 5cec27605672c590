#include "common/mvcc/btree.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace coppice::mvcc {
namespace {

constexpr int kMergeBelow = kFanout / 4;
constexpr int kMergedMax = kFanout * 3 / 4;
constexpr std::uint32_t kOlderFirst = 2;

// Everything below `node`, records included.
void DeleteTree(Node* node, NodePool& pool) {
  if (node->leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    for (int i = 0; i < leaf->count; ++i) {
      leaf->slots[i].record->Unref();
      if (leaf->slots[i].older != nullptr) Older::Delete(leaf->slots[i].older);
    }
  } else {
    auto* inner = static_cast<Inner*>(node);
    for (int i = 0; i < inner->count; ++i) {
      DeleteTree(inner->children[i], pool);
      if (inner->separators[i] != nullptr) Separator::Delete(inner->separators[i]);
    }
  }
  pool.Delete(node);
}

// The shortest bytes above `low` and not above `high`.
std::string_view Between(std::string_view low, std::string_view high) {
  std::size_t i = 0;
  while (i < low.size() && low[i] == high[i]) ++i;
  return high.substr(0, i + 1);
}

}  // namespace

void Tree::Free(Garbage& garbage) {
  for (Node* node : garbage.nodes) pool_.Delete(node);
  for (const Separator* separator : garbage.separators) Separator::Delete(separator);
  for (const Record* record : garbage.records) record->Unref();
  for (Older* older : garbage.olders) Older::Delete(older);
  garbage = Garbage();
}

Tree::Tree() : root_(NewInner()), committed_(root_) {
  InsertChild(*root_, 0, {nullptr, NewLeaf(), 0, 0});
  Garbage none;
  Commit(none);
}

Tree::~Tree() {
  Rollback();
  DeleteTree(root_, pool_);
}

Leaf* Tree::NewLeaf(const Leaf& like) {
  Leaf* leaf = pool_.New(like);
  leaf->batch = batch_;
  made_.nodes.push_back(leaf);
  return leaf;
}

Inner* Tree::NewInner(const Inner& like) {
  Inner* inner = pool_.New(like);
  inner->batch = batch_;
  made_.nodes.push_back(inner);
  return inner;
}

Inner* Tree::EditRoot() {
  if (root_->batch == batch_) return root_;
  retired_.nodes.push_back(root_);
  root_ = NewInner(*root_);
  return root_;
}

Leaf* Tree::EditLeaf(Inner& parent, int i) {
  auto* leaf = static_cast<Leaf*>(parent.children[i]);
  if (leaf->batch == batch_) return leaf;
  retired_.nodes.push_back(leaf);
  Leaf* copy = NewLeaf(*leaf);
  parent.children[i] = copy;
  return copy;
}

Inner* Tree::EditInner(Inner& parent, int i) {
  auto* inner = static_cast<Inner*>(parent.children[i]);
  if (inner->batch == batch_) return inner;
  retired_.nodes.push_back(inner);
  Inner* copy = NewInner(*inner);
  parent.children[i] = copy;
  return copy;
}

void Tree::UpdateSums(Inner& node, int i) {
  Sum(*node.children[i], node.live[i], node.bytes[i]);
}

// Returns the parent of the leaf for `key`, all on the way editable and with room for one child
// more, so that a split never has to climb.
Inner* Tree::Descend(std::string_view key, Path& path) {
  Inner* node = EditRoot();
  if (node->count == kFanout) {
    Inner* grown = NewInner();
    std::int64_t live = 0;
    std::uint64_t bytes = 0;
    Sum(*node, live, bytes);
    InsertChild(*grown, 0, {nullptr, node, live, bytes});
    root_ = node = grown;
    SplitInner(*node, 0);
  }
  for (;;) {
    int i = ChildOf(*node, key);
    if (node->children[i]->leaf) return node;
    Inner* child = EditInner(*node, i);
    if (child->count == kFanout) {
      SplitInner(*node, i);
      i = ChildOf(*node, key);
      child = static_cast<Inner*>(node->children[i]);
    }
    COPPICE_CHECK(path.depth < 16);
    path.steps[path.depth++] = {node, i};
    node = child;
  }
}

void Tree::SplitInner(Inner& parent, int i) {
  auto* left = static_cast<Inner*>(parent.children[i]);
  Inner* right = NewInner();
  MoveTail(*left, left->count / 2, *right);
  const Separator* separator = std::exchange(right->separators[0], nullptr);
  Reindex(*left);
  Reindex(*right);
  InsertChild(parent, i + 1, {separator, right, 0, 0});
  UpdateSums(parent, i);
  UpdateSums(parent, i + 1);
}

// Keys that arrive in ascending order leave full leaves behind.
void Tree::SplitLeaf(Inner& parent, int i, std::string_view key) {
  Leaf* left = EditLeaf(parent, i);
  Leaf* right = NewLeaf();
  const bool appending = left->Key(left->count - 1) < key;
  MoveTail(*left, appending ? left->count - 4 : left->count / 2, *right);
  Reindex(*left);
  Reindex(*right);
  const Separator* separator = Separator::New(Between(left->Key(left->count - 1), right->Key(0)));
  made_.separators.push_back(separator);
  InsertChild(parent, i + 1, {separator, right, 0, 0});
  UpdateSums(parent, i);
  UpdateSums(parent, i + 1);
}

void Tree::Replace(Leaf& leaf, int pos, const Record* record) {
  Slot slot = leaf.slots[pos];
  if (slot.older == nullptr || slot.older->full()) {
    const std::size_t size = slot.older == nullptr ? 0 : slot.older->items().size();
    Older* grown = Older::New(std::max<std::uint32_t>(kOlderFirst, static_cast<int>(size) * 2));
    made_.olders.push_back(grown);
    if (slot.older != nullptr) {
      for (const Superseded& version : slot.older->items()) grown->Append(version);
      retired_.olders.push_back(slot.older);
    }
    slot.older = grown;
  }
  slot.older->Append({slot.record->id(), slot.record->tombstone()});
  retired_.records.push_back(slot.record);
  slot.record = record;
  SetSlot(leaf, pos, slot);
}

const Record* Tree::Put(RecordPtr owned) {
  const Record* record = owned.Release();
  made_.records.push_back(record);
  const std::string_view key = record->key();
  Path path;
  Inner* parent = Descend(key, path);
  int i = ChildOf(*parent, key);
  bool equal = false;
  int pos = LowerBound(static_cast<Leaf&>(*parent->children[i]), key, equal);
  if (!equal && parent->children[i]->count == kFanout) {
    SplitLeaf(*parent, i, key);
    i = ChildOf(*parent, key);
    pos = LowerBound(static_cast<Leaf&>(*parent->children[i]), key, equal);
  }
  Leaf* leaf = EditLeaf(*parent, i);
  const Record* before = equal ? leaf->slots[pos].record : nullptr;
  const std::uint32_t bytes_before = equal ? leaf->bytes[pos] : 0;
  if (equal) {
    Replace(*leaf, pos, record);
  } else {
    InsertSlot(*leaf, pos, {record, nullptr});
  }
  const std::int64_t live = (leaf->bytes[pos] != 0 ? 1 : 0) - (bytes_before != 0 ? 1 : 0);
  const std::uint64_t bytes = std::uint64_t{leaf->bytes[pos]} - bytes_before;  // wraps, as sums do
  path.steps[path.depth++] = {parent, i};
  for (int d = 0; d < path.depth; ++d) {
    path.steps[d].node->live[path.steps[d].child] += live;
    path.steps[d].node->bytes[path.steps[d].child] += bytes;
  }
  return before;
}

void Tree::SetOlder(std::string_view key, Older* older) {
  if (older != nullptr) made_.olders.push_back(older);
  Path path;
  Inner* parent = Descend(key, path);
  Leaf* leaf = EditLeaf(*parent, ChildOf(*parent, key));
  bool equal = false;
  const int pos = LowerBound(*leaf, key, equal);
  COPPICE_CHECK(equal);
  if (leaf->slots[pos].older != nullptr) retired_.olders.push_back(leaf->slots[pos].older);
  leaf->slots[pos].older = older;
}

void Tree::Remove(std::string_view key) {
  COPPICE_CHECK(RemoveBelow(*EditRoot(), key));
  Collapse();
}

bool Tree::RemoveBelow(Inner& node, std::string_view key) {
  const int i = ChildOf(node, key);
  if (!node.children[i]->leaf) {
    if (!RemoveBelow(*EditInner(node, i), key)) return false;
  } else {
    Leaf* leaf = EditLeaf(node, i);
    bool equal = false;
    const int pos = LowerBound(*leaf, key, equal);
    if (!equal) return false;
    retired_.records.push_back(leaf->slots[pos].record);
    if (leaf->slots[pos].older != nullptr) retired_.olders.push_back(leaf->slots[pos].older);
    EraseSlot(*leaf, pos);
  }
  UpdateSums(node, i);
  Rebalance(node, i);
  return true;
}

void Tree::Rebalance(Inner& node, int i) {
  const int count = node.children[i]->count;
  if (count >= kMergeBelow || node.count == 1) return;
  if (count == 0) {
    DropChild(node, i);
    return;
  }
  if (i > 0 && node.children[i - 1]->count + count <= kMergedMax) {
    Merge(node, i - 1);
  } else if (i + 1 < node.count && node.children[i + 1]->count + count <= kMergedMax) {
    Merge(node, i);
  }
}

void Tree::DropChild(Inner& node, int i) {
  retired_.nodes.push_back(node.children[i]);
  const Separator* gone = node.separators[i == 0 ? 1 : i];
  if (gone != nullptr) retired_.separators.push_back(gone);
  EraseChild(node, i);
}

void Tree::Merge(Inner& node, int left) {
  const Separator* separator = node.separators[left + 1];
  Node* right = node.children[left + 1];
  if (right->leaf) {
    Leaf* into = EditLeaf(node, left);
    Leaf copy(*static_cast<Leaf*>(right));
    MoveTail(copy, 0, *into);
    Reindex(*into);
    retired_.separators.push_back(separator);
  } else {
    Inner* into = EditInner(node, left);
    Inner copy(*static_cast<Inner*>(right));
    copy.separators[0] = separator;
    MoveTail(copy, 0, *into);
    Reindex(*into);
  }
  retired_.nodes.push_back(right);
  EraseChild(node, left + 1);
  UpdateSums(node, left);
}

void Tree::Collapse() {
  while (root_->count == 1 && !root_->children[0]->leaf) {
    retired_.nodes.push_back(root_);
    root_ = static_cast<Inner*>(root_->children[0]);
  }
}

void Tree::Commit(Garbage& out) {
  made_ = Garbage();
  out = std::move(retired_);
  retired_ = Garbage();
  committed_ = root_;
  ++batch_;
}

void Tree::Rollback() {
  root_ = committed_;
  retired_ = Garbage();
  Free(made_);
  ++batch_;
}

void Tree::Settle() {
  made_ = Garbage();
  Free(retired_);
  committed_ = root_;
}

}  // namespace coppice::mvcc
