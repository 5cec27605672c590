#include <algorithm>
#include <array>

#include "common/mvcc/btree.h"

namespace coppice::mvcc {
namespace {

constexpr std::size_t kWarmGroup = 16;  // about what a core can have on its way from memory
constexpr std::size_t kWarmRecordBytes = 384;

}  // namespace

const Slot* Find(const Inner& root, std::string_view key) {
  const Inner* node = &root;
  for (;;) {
    const Node* child = node->children[ChildOf(*node, key)];
    if (child->leaf) {
      const auto* leaf = static_cast<const Leaf*>(child);
      bool equal = false;
      const int pos = LowerBound(*leaf, key, equal);
      return equal ? &leaf->slots[pos] : nullptr;
    }
    node = static_cast<const Inner*>(child);
  }
}

namespace {

constexpr std::size_t kLine = 64;

void PrefetchLines(const void* begin, std::size_t bytes) {
  const auto* at = static_cast<const char*>(begin);
  for (std::size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(at + i);
}

// Walks one group level by level; all its leaves are at the same depth.
void WarmGroup(const Inner& root, std::span<const std::string_view> keys) {
  std::array<const Node*, kWarmGroup> nodes;
  nodes.fill(&root);
  while (!nodes[0]->leaf) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto* inner = static_cast<const Inner*>(nodes[i]);
      nodes[i] = inner->children[ChildOf(*inner, keys[i])];
      PrefetchLines(nodes[i], sizeof(Node));
    }
  }
  std::array<const Slot*, kWarmGroup> slots{};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto* leaf = static_cast<const Leaf*>(nodes[i]);
    const int pos = HeadLowerBound(*leaf, keys[i]);
    if (pos == leaf->count) continue;
    slots[i] = &leaf->slots[pos];
    __builtin_prefetch(slots[i]);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (slots[i] != nullptr) PrefetchLines(slots[i]->record, kWarmRecordBytes);
  }
}

}  // namespace

void Warm(const Inner& root, std::span<const std::string_view> keys) {
  for (; keys.size() > 1; keys = keys.subspan(std::min(keys.size(), kWarmGroup))) {
    WarmGroup(root, keys.first(std::min(keys.size(), kWarmGroup)));
  }
}

Rank RankBefore(const Inner& root, std::string_view key) {
  Rank rank;
  const Inner* node = &root;
  for (;;) {
    const int at = ChildOf(*node, key);
    for (int i = 0; i < at; ++i) {
      rank.live += node->live[i];
      rank.bytes += node->bytes[i];
    }
    const Node* child = node->children[at];
    if (child->leaf) {
      const auto* leaf = static_cast<const Leaf*>(child);
      bool equal = false;
      const int pos = LowerBound(*leaf, key, equal);
      for (int i = 0; i < pos; ++i) {
        rank.live += leaf->bytes[i] != 0 ? 1 : 0;
        rank.bytes += leaf->bytes[i];
      }
      return rank;
    }
    node = static_cast<const Inner*>(child);
  }
}

std::int64_t CountBefore(const Inner& root, std::string_view key) {
  std::int64_t live = 0;
  const Inner* node = &root;
  for (;;) {
    const int at = ChildOf(*node, key);
    for (int i = 0; i < at; ++i) live += node->live[i];
    const Node* child = node->children[at];
    if (child->leaf) {
      const auto* leaf = static_cast<const Leaf*>(child);
      bool equal = false;
      const int pos = LowerBound(*leaf, key, equal);
      for (int i = 0; i < pos; ++i) live += leaf->bytes[i] != 0 ? 1 : 0;
      return live;
    }
    node = static_cast<const Inner*>(child);
  }
}

Rank Total(const Inner& root) {
  Rank rank;
  Sum(root, rank.live, rank.bytes);
  return rank;
}

std::uint64_t BytesOfFirst(const Inner& root, std::int64_t count) {
  std::uint64_t bytes = 0;
  const Node* node = &root;
  while (!node->leaf) {
    const auto* inner = static_cast<const Inner*>(node);
    int i = 0;
    while (i < inner->count && inner->live[i] <= count) {
      count -= inner->live[i];
      bytes += inner->bytes[i];
      ++i;
    }
    if (i == inner->count) return bytes;
    node = inner->children[i];
  }
  const auto* leaf = static_cast<const Leaf*>(node);
  for (int i = 0; i < leaf->count && count > 0; ++i) {
    if (leaf->bytes[i] == 0) continue;
    --count;
    bytes += leaf->bytes[i];
  }
  return bytes;
}

void Iterator::Seek(std::string_view key) {
  depth_ = 0;
  const Inner* node = root_;
  for (;;) {
    const int i = ChildOf(*node, key);
    path_[depth_++] = {node, i};
    const Node* child = node->children[i];
    if (child->leaf) {
      leaf_ = static_cast<const Leaf*>(child);
      break;
    }
    node = static_cast<const Inner*>(child);
  }
  bool equal = false;
  pos_ = LowerBound(*leaf_, key, equal);
  if (pos_ == leaf_->count) NextLeaf();
}

// A walk's time is waiting for records to come from memory: ask for them ahead.
void Iterator::Prefetch(int pos) const {
  constexpr int kLines = 4;
  if (pos >= leaf_->count) return;
  const char* record = reinterpret_cast<const char*>(leaf_->slots[pos].record);
  for (int line = 0; line < kLines; ++line) __builtin_prefetch(record + line * 64);
}

void Iterator::Next() {
  constexpr int kAhead = 6;
  Prefetch(pos_ + kAhead);
  if (++pos_ == leaf_->count) NextLeaf();
}

void Iterator::Down(const Inner* node, int child) {
  for (;;) {
    path_[depth_++] = {node, child};
    const Node* below = node->children[child];
    if (below->leaf) {
      leaf_ = static_cast<const Leaf*>(below);
      pos_ = 0;
      for (int i = 0; i < 6; ++i) Prefetch(i);
      return;
    }
    node = static_cast<const Inner*>(below);
    child = 0;
  }
}

void Iterator::NextLeaf() {
  do {
    while (depth_ > 0 && path_[depth_ - 1].child + 1 == path_[depth_ - 1].node->count) --depth_;
    if (depth_ == 0) {
      leaf_ = nullptr;
      return;
    }
    const Step step = path_[--depth_];
    Down(step.node, step.child + 1);
  } while (leaf_->count == 0);
}

}  // namespace coppice::mvcc
