#include "common/replica/watch_index.h"

#include <tuple>

#include "common/base/check.h"
#include "common/base/rng.h"

namespace coppice::replica {
namespace {

bool Before(const mvcc::KeyRange& a, const mvcc::KeyRange& b) {
  return std::tie(a.begin, a.unbounded, a.end) < std::tie(b.begin, b.unbounded, b.end);
}

// Whichever of the two ends later; null loses.
RangeEntry* Later(RangeEntry* a, RangeEntry* b) {
  if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
  if (a->range.unbounded || b->range.unbounded) return a->range.unbounded ? a : b;
  return a->range.end < b->range.end ? b : a;
}

void Update(RangeEntry* node) {
  node->last_end = Later(node, Later(node->left ? node->left->last_end : nullptr,
                                     node->right ? node->right->last_end : nullptr));
}

// Splits `node` into what comes before `range` and the rest.
void Split(RangeEntry* node, const mvcc::KeyRange& range, RangeEntry*& low, RangeEntry*& high) {
  if (node == nullptr) {
    low = high = nullptr;
    return;
  }
  if (Before(node->range, range)) {
    low = node;
    Split(node->right, range, node->right, high);
  } else {
    high = node;
    Split(node->left, range, low, node->left);
  }
  Update(node);
}

RangeEntry* Merge(RangeEntry* low, RangeEntry* high) {
  if (low == nullptr || high == nullptr) return low == nullptr ? high : low;
  RangeEntry* top = low->priority > high->priority ? low : high;
  if (top == low) {
    low->right = Merge(low->right, high);
  } else {
    high->left = Merge(low, high->left);
  }
  Update(top);
  return top;
}

RangeEntry* Insert(RangeEntry* node, RangeEntry* entry) {
  if (node == nullptr || entry->priority > node->priority) {
    Split(node, entry->range, entry->left, entry->right);
    Update(entry);
    return entry;
  }
  RangeEntry*& child = Before(entry->range, node->range) ? node->left : node->right;
  child = Insert(child, entry);
  Update(node);
  return node;
}

RangeEntry* Erase(RangeEntry* node, RangeEntry* entry) {
  COPPICE_CHECK(node != nullptr, "an entry that is erased was inserted");
  if (node == entry) return Merge(node->left, node->right);
  RangeEntry*& child = Before(entry->range, node->range) ? node->left : node->right;
  child = Erase(child, entry);
  Update(node);
  return node;
}

void FreeGroups(RangeEntry& entry) {
  while (entry.groups != nullptr) {
    WatchGroup* const next = entry.groups->next;
    delete entry.groups;
    entry.groups = next;
  }
}

void FreeTree(RangeEntry* node) {
  if (node == nullptr) return;
  FreeTree(node->left);
  FreeTree(node->right);
  FreeGroups(*node);
  delete node;
}

}  // namespace

WatchIndex::~WatchIndex() {
  for (RangeEntry* entry : single_) {
    FreeGroups(*entry);
    delete entry;
  }
  FreeTree(root_);
}

RangeEntry* WatchIndex::Find(const mvcc::KeyRange& range) const {
  if (range.SingleKey()) {
    const auto it = single_.find(std::string_view(range.begin));
    return it == single_.end() ? nullptr : *it;
  }
  RangeEntry* node = root_;
  while (node != nullptr && node->range != range) {
    node = Before(range, node->range) ? node->left : node->right;
  }
  return node;
}

WatchGroup* WatchIndex::FindOrAdd(const mvcc::KeyRange& range, mvcc::WatchFilters filters,
                                  bool prev_kv) {
  RangeEntry* entry = Find(range);
  if (entry == nullptr) {
    entry = new RangeEntry{.range = range, .priority = Mix64(++inserted_)};
    if (range.SingleKey()) {
      single_.insert(entry);
    } else {
      root_ = Insert(root_, entry);
      ++treap_size_;
    }
  }
  for (WatchGroup* group = entry->groups; group != nullptr; group = group->next) {
    if (group->filters == filters && group->prev_kv == prev_kv) return group;
  }
  auto* group =
      new WatchGroup{.entry = entry, .next = entry->groups, .filters = filters, .prev_kv = prev_kv};
  entry->groups = group;
  return group;
}

void WatchIndex::Remove(WatchGroup* group) {
  COPPICE_CHECK(group->live.empty() && group->behind.empty());
  RangeEntry* const entry = group->entry;
  WatchGroup** link = &entry->groups;
  while (*link != group) link = &(*link)->next;
  *link = group->next;
  delete group;
  if (entry->groups != nullptr) return;
  if (entry->range.SingleKey()) {
    single_.erase(entry);
  } else {
    root_ = Erase(root_, entry);
    --treap_size_;
  }
  delete entry;
}

}  // namespace coppice::replica
