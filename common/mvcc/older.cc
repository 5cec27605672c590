#include "common/mvcc/older.h"

#include <new>

#include "common/base/check.h"

namespace coppice::mvcc {

static_assert(sizeof(Older) % alignof(Superseded) == 0, "the elements follow the object");

Older* Older::New(std::uint32_t capacity) {
  return new (::operator new(sizeof(Older) + capacity * sizeof(Superseded))) Older(capacity);
}

void Older::Delete(Older* older) {
  older->~Older();
  ::operator delete(older);
}

void Older::Append(const Superseded& version) {
  const std::uint32_t size = size_.load(std::memory_order_relaxed);
  if (size > 0 && data()[size - 1].id >= version.id) return;
  COPPICE_CHECK(size < capacity_);
  new (data() + size) Superseded(version);
  size_.store(size + 1, std::memory_order_release);
}

}  // namespace coppice::mvcc
