#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "common/mvcc/key_range.h"
#include "common/mvcc/watch_source.h"

namespace coppice::replica {

class HubWatcher;
struct RangeEntry;

// Watchers that want the same thing: they share each encoding. Lists hold positions, so that a
// watcher leaves in O(1).
struct WatchGroup {
  RangeEntry* entry = nullptr;
  WatchGroup* next = nullptr;  // of the same range
  mvcc::WatchFilters filters{};
  bool prev_kv = false;
  std::vector<HubWatcher*> live{};
  std::vector<HubWatcher*> behind{};
  std::uint32_t prepared = 0;                       // watchers that are not open yet
  std::shared_ptr<mvcc::EncodedEvents> building{};  // of the batch being matched
};

// The groups of one range.
struct RangeEntry {
  mvcc::KeyRange range{};
  WatchGroup* groups = nullptr;
  // Of the treap, unused for single keys.
  RangeEntry* left = nullptr;
  RangeEntry* right = nullptr;
  RangeEntry* last_end = nullptr;  // in this subtree, who ends last
  std::uint64_t priority = 0;
};

// Finds the groups whose range holds a key: a hash for single keys, and for ranges a treap by begin
// where each node knows the latest end below it (an interval tree: Cormen et al., section 14.3).
// Owns entries and groups. Priorities are a hash of a counter, so a run repeats exactly.
class WatchIndex {
 public:
  WatchIndex() = default;
  WatchIndex(const WatchIndex&) = delete;
  WatchIndex& operator=(const WatchIndex&) = delete;
  ~WatchIndex();

  WatchGroup* FindOrAdd(const mvcc::KeyRange& range, mvcc::WatchFilters filters, bool prev_kv);
  // The group has no watchers any more.
  void Remove(WatchGroup* group);

  template <typename Visit>  // visit(WatchGroup&)
  void ForEachMatch(std::string_view key, Visit&& visit) const {
    const auto single = single_.find(key);
    if (single != single_.end()) VisitGroups(**single, visit);
    Stab(root_, key, visit);
  }
  template <typename Visit>
  void ForEachGroup(Visit&& visit) const {
    for (RangeEntry* entry : single_) VisitGroups(*entry, visit);
    Walk(root_, visit);
  }
  std::size_t ranges() const { return single_.size() + treap_size_; }

 private:
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const {
      return std::hash<std::string_view>()(key);
    }
    std::size_t operator()(const RangeEntry* e) const { return (*this)(e->range.begin); }
  };
  struct KeyEq {
    using is_transparent = void;
    static std::string_view Key(std::string_view key) { return key; }
    static std::string_view Key(const RangeEntry* e) { return e->range.begin; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Key(a) == Key(b);
    }
  };

  template <typename Visit>
  static void VisitGroups(RangeEntry& entry, Visit& visit) {
    for (WatchGroup* group = entry.groups; group != nullptr;) {
      WatchGroup* const next = group->next;
      visit(*group);
      group = next;
    }
  }
  template <typename Visit>
  static void Stab(RangeEntry* node, std::string_view key, Visit& visit) {
    while (node != nullptr) {
      const mvcc::KeyRange& last = node->last_end->range;
      if (!last.unbounded && key.compare(last.end) >= 0) return;
      Stab(node->left, key, visit);
      if (key < node->range.begin) return;
      if (node->range.Contains(key)) VisitGroups(*node, visit);
      node = node->right;
    }
  }
  template <typename Visit>
  static void Walk(RangeEntry* node, Visit& visit) {
    if (node == nullptr) return;
    Walk(node->left, visit);
    VisitGroups(*node, visit);
    Walk(node->right, visit);
  }
  RangeEntry* Find(const mvcc::KeyRange& range) const;

  // Not a hash with a random seed: the order of ForEachGroup must repeat.
  std::unordered_set<RangeEntry*, KeyHash, KeyEq> single_;
  RangeEntry* root_ = nullptr;
  std::size_t treap_size_ = 0;
  std::uint64_t inserted_ = 0;
};

}  // namespace coppice::replica
