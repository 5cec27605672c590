#pragma once

#include <string>
#include <string_view>

namespace coppice::mvcc {

// The keys a request names, in one canonical form that authorization, caches, watches and the store
// share: [begin, end), or [begin, infinity) if `unbounded`.
// A single key k is [k, k + '\0'). etcd's range_end "\0" means unbounded; key "\0" with it, all
// keys.
struct KeyRange {
  std::string begin;
  std::string end;  // empty if unbounded
  bool unbounded = false;

  // From the wire's key and range_end (empty: a single key).
  static KeyRange FromWire(std::string_view key, std::string_view range_end);

  bool Contains(std::string_view key) const { return key >= begin && (unbounded || key < end); }
  bool Empty() const { return !unbounded && end <= begin; }
  bool SingleKey() const {
    return !unbounded && end.size() == begin.size() + 1 && end.back() == '\0' &&
           std::string_view(end).substr(0, begin.size()) == begin;
  }
  bool Overlaps(const KeyRange& other) const {
    return !Empty() && !other.Empty() && (unbounded || other.begin < end) &&
           (other.unbounded || begin < other.end);
  }
  auto operator<=>(const KeyRange&) const = default;
};

}  // namespace coppice::mvcc
