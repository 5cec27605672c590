#include "common/rpc/nghttp2_memory.h"

#include <bit>
#include <cstdlib>
#include <cstring>

namespace coppice::rpc {

Nghttp2Memory::Nghttp2Memory()
    : mem_{this,
           [](std::size_t size, void* self) {
             return static_cast<Nghttp2Memory*>(self)->Allocate(size);
           },
           [](void* pointer, void* self) { static_cast<Nghttp2Memory*>(self)->Free(pointer); },
           [](std::size_t count, std::size_t size, void* self) {
             void* pointer = static_cast<Nghttp2Memory*>(self)->Allocate(count * size);
             if (pointer != nullptr) std::memset(pointer, 0, count * size);
             return pointer;
           },
           [](void* pointer, std::size_t size, void* self) {
             return static_cast<Nghttp2Memory*>(self)->Reallocate(pointer, size);
           }} {}

Nghttp2Memory::~Nghttp2Memory() {
  for (Block* block : free_) {
    while (block != nullptr) {
      Block* next = block->next;
      std::free(block);
      block = next;
    }
  }
}

int Nghttp2Memory::ClassOf(std::size_t size) {
  if (size == 0) return 0;
  if (size <= kSmallMax) return static_cast<int>((size - 1) / kStep);
  const int doublings = std::bit_width((size - 1) / kSmallMax) - 1;
  const int size_class = kSmallClasses + doublings;
  return size_class < kClasses ? size_class : kClasses;
}

std::size_t Nghttp2Memory::SizeOf(int size_class) {
  if (size_class < kSmallClasses) return (static_cast<std::size_t>(size_class) + 1) * kStep;
  return kSmallMax << (size_class - kSmallClasses + 1);
}

void* Nghttp2Memory::Allocate(std::size_t size) {
  const int size_class = ClassOf(size);
  if (size_class < kClasses) {
    size = SizeOf(size_class);
    if (Block* block = free_[static_cast<std::size_t>(size_class)]; block != nullptr) {
      free_[static_cast<std::size_t>(size_class)] = block->next;
      kept_bytes_ -= size;
      return block + 1;
    }
  }
  auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + size));
  if (block == nullptr) return nullptr;
  ++system_allocations_;
  block->size = size;
  return block + 1;
}

void Nghttp2Memory::Free(void* pointer) {
  if (pointer == nullptr) return;
  Block* block = static_cast<Block*>(pointer) - 1;
  const int size_class = ClassOf(block->size);
  if (size_class == kClasses || kept_bytes_ >= kKeptBytesMax) {
    std::free(block);
    return;
  }
  block->next = free_[static_cast<std::size_t>(size_class)];
  free_[static_cast<std::size_t>(size_class)] = block;
  kept_bytes_ += block->size;
}

void* Nghttp2Memory::Reallocate(void* pointer, std::size_t size) {
  if (pointer == nullptr) return Allocate(size);
  const std::size_t had = (static_cast<Block*>(pointer) - 1)->size;
  if (size <= had) return pointer;
  void* larger = Allocate(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, pointer, had);
  Free(pointer);
  return larger;
}

}  // namespace coppice::rpc
