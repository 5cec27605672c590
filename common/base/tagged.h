#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace coppice {

// An integer that cannot be mistaken for another kind of integer: a term is not an index.
// Arithmetic with plain integers keeps the kind; the difference of two is a plain integer.
template <typename Tag, typename Int = std::uint64_t>
class Tagged {
 public:
  using Value = Int;

  constexpr Tagged() = default;
  constexpr explicit Tagged(Int value) : value_(value) {}

  [[nodiscard]] constexpr Int value() const { return value_; }
  constexpr auto operator<=>(const Tagged&) const = default;

  constexpr Tagged& operator++() {
    ++value_;
    return *this;
  }
  constexpr Tagged& operator--() {
    --value_;
    return *this;
  }
  friend constexpr Tagged operator+(Tagged a, Int n) { return Tagged(a.value_ + n); }
  friend constexpr Tagged operator-(Tagged a, Int n) { return Tagged(a.value_ - n); }
  friend constexpr Int operator-(Tagged a, Tagged b) { return a.value_ - b.value_; }

 private:
  Int value_ = 0;
};

}  // namespace coppice

template <typename Tag, typename Int>
struct std::hash<coppice::Tagged<Tag, Int>> {
  std::size_t operator()(coppice::Tagged<Tag, Int> id) const noexcept {
    return std::hash<Int>{}(id.value());
  }
};
