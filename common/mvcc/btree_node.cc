#include "common/mvcc/btree_node.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "common/base/coding.h"

namespace coppice::mvcc {
namespace {

std::size_t CommonPrefix(std::string_view a, std::string_view b) {
  const std::size_t size = std::min({a.size(), b.size(), std::size_t{kPrefixMax}});
  std::size_t i = 0;
  while (i < size && a[i] == b[i]) ++i;
  return i;
}

std::uint64_t Head(std::string_view key, std::size_t prefix_size) {
  if (key.size() <= prefix_size) return 0;
  key.remove_prefix(prefix_size);
  if (key.size() >= sizeof(std::uint64_t)) return GetBe64(key.data());
  std::uint64_t head = 0;
  std::memcpy(&head, key.data(), key.size());
  return __builtin_bswap64(head);
}

// std::lower_bound without a branch that depends on the data: half of those are mispredicted.
const std::uint64_t* LowerBoundOf(const std::uint64_t* first, int count, std::uint64_t head) {
  if (count <= 0) return first;
  while (count > 1) {
    const int half = count / 2;
    first += static_cast<std::ptrdiff_t>(first[half - 1] < head) * half;
    count -= half;
  }
  return first + (*first < head ? 1 : 0);
}

// Whether key `pos` may be `key`, by what the node itself has: looking at the key is a cache miss.
bool MayEqual(const Node& node, int pos, std::string_view key) {
  return pos < node.count && node.heads[pos] == Head(key, node.prefix_size);
}

// The first position in [low, node.count) whose key is >= `key`.
template <typename NodeType>
int Search(const NodeType& node, int low, std::string_view key) {
  const std::string_view prefix = node.prefix();
  const int order = key.substr(0, prefix.size()).compare(prefix);
  if (order != 0) return order < 0 ? low : node.count;
  const std::uint64_t head = Head(key, prefix.size());
  const auto* end = node.heads.data() + node.count;
  const auto* first = LowerBoundOf(node.heads.data() + low, node.count - low, head);
  int pos = static_cast<int>(first - node.heads.data());
  if (first == end || *first != head) return pos;
  int high = static_cast<int>(std::upper_bound(first, end, head) - node.heads.data());
  while (pos < high) {
    const int middle = (pos + high) / 2;
    if (node.Key(middle) < key) {
      pos = middle + 1;
    } else {
      high = middle;
    }
  }
  return pos;
}

template <typename NodeType>
void ReindexFrom(NodeType& node, int low) {
  if (node.count <= low) {
    node.prefix_size = 0;
    return;
  }
  const std::string_view first = node.Key(low);
  const std::size_t size = CommonPrefix(first, node.Key(node.count - 1));
  node.prefix_size = static_cast<std::uint8_t>(size);
  std::memcpy(node.prefix_bytes.data(), first.data(), size);
  for (int i = low; i < node.count; ++i) node.heads[i] = Head(node.Key(i), size);
}

template <typename Array>
void Open(Array& array, int pos, int count) {
  std::copy_backward(array.begin() + pos, array.begin() + count, array.begin() + count + 1);
}
template <typename Array>
void Close(Array& array, int pos, int count) {
  std::copy(array.begin() + pos + 1, array.begin() + count, array.begin() + pos);
}
template <typename Array>
void Append(const Array& from, int begin, int end, Array& to, int at) {
  std::copy(from.begin() + begin, from.begin() + end, to.begin() + at);
}

}  // namespace

const Separator* Separator::New(std::string_view key) {
  auto* separator = new (::operator new(sizeof(Separator) + key.size())) Separator(key.size());
  std::memcpy(reinterpret_cast<char*>(separator + 1), key.data(), key.size());
  return separator;
}

void Separator::Delete(const Separator* separator) {
  ::operator delete(const_cast<Separator*>(separator));
}

namespace {

constexpr std::size_t kPooledMax = 256;

template <typename NodeType>
NodeType* Take(std::vector<NodeType*>& pool, const NodeType& like) {
  if (pool.empty()) return new NodeType(like);
  NodeType* node = pool.back();
  pool.pop_back();
  *node = like;
  return node;
}

template <typename NodeType>
void Give(std::vector<NodeType*>& pool, NodeType* node) {
  if (pool.size() < kPooledMax) {
    pool.push_back(node);
  } else {
    delete node;
  }
}

}  // namespace

NodePool::~NodePool() {
  for (Leaf* leaf : leaves_) delete leaf;
  for (Inner* inner : inners_) delete inner;
}

Leaf* NodePool::New(const Leaf& like) {
  return Take(leaves_, like);
}

Inner* NodePool::New(const Inner& like) {
  return Take(inners_, like);
}

void NodePool::Delete(Node* node) {
  if (node->leaf) {
    Give(leaves_, static_cast<Leaf*>(node));
  } else {
    Give(inners_, static_cast<Inner*>(node));
  }
}

std::uint32_t FramedSize(std::string_view message) {
  return static_cast<std::uint32_t>(1 + VarintSize(message.size()) + message.size());
}
std::uint32_t FramedSize(const Record& record) {
  return FramedSize(record.encoded());
}

int LowerBound(const Leaf& leaf, std::string_view key, bool& equal) {
  const int pos = Search(leaf, 0, key);
  equal = MayEqual(leaf, pos, key) && leaf.Key(pos) == key;
  return pos;
}

int HeadLowerBound(const Leaf& leaf, std::string_view key) {
  const std::string_view prefix = leaf.prefix();
  const int order = key.substr(0, prefix.size()).compare(prefix);
  if (order != 0) return order < 0 ? 0 : leaf.count;
  const auto* heads = leaf.heads.data();
  return static_cast<int>(LowerBoundOf(heads, leaf.count, Head(key, prefix.size())) - heads);
}

int ChildOf(const Inner& node, std::string_view key) {
  const int pos = Search(node, 1, key);
  return MayEqual(node, pos, key) && node.Key(pos) == key ? pos : pos - 1;
}

void Reindex(Leaf& leaf) {
  ReindexFrom(leaf, 0);
}
void Reindex(Inner& node) {
  ReindexFrom(node, 1);
}

void SetSlot(Leaf& leaf, int pos, const Slot& slot) {
  leaf.slots[pos] = slot;
  leaf.bytes[pos] = slot.record->tombstone() ? 0 : FramedSize(*slot.record);
}

void InsertSlot(Leaf& leaf, int pos, const Slot& slot) {
  Open(leaf.heads, pos, leaf.count);
  Open(leaf.slots, pos, leaf.count);
  Open(leaf.bytes, pos, leaf.count);
  ++leaf.count;
  SetSlot(leaf, pos, slot);
  const std::string_view key = slot.record->key();
  // Only a new first or last key can shorten the prefix.
  if (!key.starts_with(leaf.prefix()) || leaf.count == 1) {
    Reindex(leaf);
  } else {
    leaf.heads[pos] = Head(key, leaf.prefix_size);
  }
}

void EraseSlot(Leaf& leaf, int pos) {
  Close(leaf.heads, pos, leaf.count);
  Close(leaf.slots, pos, leaf.count);
  Close(leaf.bytes, pos, leaf.count);
  --leaf.count;
}

void InsertChild(Inner& node, int pos, const Child& child) {
  Open(node.separators, pos, node.count);
  Open(node.children, pos, node.count);
  Open(node.live, pos, node.count);
  Open(node.bytes, pos, node.count);
  ++node.count;
  node.separators[pos] = child.separator;
  node.children[pos] = child.node;
  node.live[pos] = child.live;
  node.bytes[pos] = child.bytes;
  Reindex(node);
}

void EraseChild(Inner& node, int pos) {
  Close(node.separators, pos, node.count);
  Close(node.children, pos, node.count);
  Close(node.live, pos, node.count);
  Close(node.bytes, pos, node.count);
  --node.count;
  if (node.count > 0) node.separators[0] = nullptr;
  Reindex(node);
}

void MoveTail(Leaf& node, int from, Leaf& to) {
  Append(node.slots, from, node.count, to.slots, to.count);
  Append(node.bytes, from, node.count, to.bytes, to.count);
  to.count = static_cast<std::uint8_t>(to.count + node.count - from);
  node.count = static_cast<std::uint8_t>(from);
}

void MoveTail(Inner& node, int from, Inner& to) {
  Append(node.separators, from, node.count, to.separators, to.count);
  Append(node.children, from, node.count, to.children, to.count);
  Append(node.live, from, node.count, to.live, to.count);
  Append(node.bytes, from, node.count, to.bytes, to.count);
  to.count = static_cast<std::uint8_t>(to.count + node.count - from);
  node.count = static_cast<std::uint8_t>(from);
}

void Sum(const Node& node, std::int64_t& live, std::uint64_t& bytes) {
  live = 0;
  bytes = 0;
  if (node.leaf) {
    const auto& leaf = static_cast<const Leaf&>(node);
    for (int i = 0; i < leaf.count; ++i) {
      live += leaf.bytes[i] != 0 ? 1 : 0;
      bytes += leaf.bytes[i];
    }
    return;
  }
  const auto& inner = static_cast<const Inner&>(node);
  for (int i = 0; i < inner.count; ++i) {
    live += inner.live[i];
    bytes += inner.bytes[i];
  }
}

}  // namespace coppice::mvcc
