#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/mvcc/older.h"
#include "common/mvcc/record.h"

namespace coppice::mvcc {

// The nodes of the index (btree.h). Readers see them as constants; the writer edits only nodes of
// its running batch.

constexpr int kFanout = 64;
constexpr int kPrefixMax = 52;

// One key: its newest version, tombstones included, and those before it.
struct Slot {
  const Record* record = nullptr;
  Older* older = nullptr;  // null if none
};

// The bytes by which an inner node tells two children apart; shared by copies of the node.
class Separator {
 public:
  static const Separator* New(std::string_view key);
  static void Delete(const Separator* separator);
  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), size_}; }

 private:
  explicit Separator(std::size_t size) : size_(size) {}
  std::size_t size_;
};

// Keys of a node are found by the 8 bytes (big-endian, zero-padded) after the prefix that all of
// them share: heads[i] orders the keys, whole keys are compared only where heads are equal.
struct Node {
  explicit Node(bool is_leaf, std::uint64_t made_in) : batch(made_in), leaf(is_leaf) {}

  std::string_view prefix() const { return {prefix_bytes.data(), prefix_size}; }

  std::uint64_t batch;  // the one that made it and may edit it
  bool leaf;
  std::uint8_t count = 0;
  std::uint8_t prefix_size = 0;
  std::array<char, kPrefixMax> prefix_bytes{};
  std::array<std::uint64_t, kFanout> heads{};
};

struct Leaf : Node {
  explicit Leaf(std::uint64_t made_in) : Node(true, made_in) {}

  std::string_view Key(int i) const { return slots[i].record->key(); }

  std::array<Slot, kFanout> slots{};
  std::array<std::uint32_t, kFanout> bytes{};  // FramedSize of the record; 0 for a tombstone
};

struct Inner : Node {
  explicit Inner(std::uint64_t made_in) : Node(false, made_in) {}

  // The keys of child i are >= separators[i]; separators[0] is null and means "all".
  std::string_view Key(int i) const {
    return separators[i] == nullptr ? std::string_view() : separators[i]->key();
  }

  std::array<const Separator*, kFanout> separators{};
  std::array<Node*, kFanout> children{};
  std::array<std::int64_t, kFanout> live{};    // keys below the child that are not tombstones
  std::array<std::uint64_t, kFanout> bytes{};  // sum of their framed sizes
};

// Nodes that are free, so that each batch's copies reuse those of the batches before.
// Thread: the writer.
class NodePool {
 public:
  NodePool() = default;
  ~NodePool();
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;

  Leaf* New(const Leaf& like);
  Inner* New(const Inner& like);
  void Delete(Node* node);

 private:
  std::vector<Leaf*> leaves_;
  std::vector<Inner*> inners_;
};

// The size of a record as an element of RangeResponse.kvs: tag, length, KeyValue.
std::uint32_t FramedSize(std::string_view message);
std::uint32_t FramedSize(const Record& record);

// The position of the first key >= `key`, and whether it is equal. Inner: see ChildOf.
int LowerBound(const Leaf& leaf, std::string_view key, bool& equal);
// The same by the heads alone: the first key that may be >= `key`. Touches no record.
int HeadLowerBound(const Leaf& leaf, std::string_view key);
// The child whose keys include `key`.
int ChildOf(const Inner& node, std::string_view key);

// --- For the writer.
// Recomputes prefix and heads from the keys.
void Reindex(Leaf& leaf);
void Reindex(Inner& node);
void InsertSlot(Leaf& leaf, int pos, const Slot& slot);
void SetSlot(Leaf& leaf, int pos, const Slot& slot);
void EraseSlot(Leaf& leaf, int pos);
struct Child {
  const Separator* separator;
  Node* node;
  std::int64_t live;
  std::uint64_t bytes;
};
void InsertChild(Inner& node, int pos, const Child& child);
void EraseChild(Inner& node, int pos);
// Moves [from, count) to the end of `to`; both are reindexed by the caller.
void MoveTail(Leaf& node, int from, Leaf& to);
void MoveTail(Inner& node, int from, Inner& to);
// Sums over all children or slots.
void Sum(const Node& node, std::int64_t& live, std::uint64_t& bytes);

}  // namespace coppice::mvcc
