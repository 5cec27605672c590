#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace coppice::rpc {

// The allocator that a loop's nghttp2 sessions share: freed blocks are kept by size, so that a
// call's seven allocations cost a few nanoseconds each. Thread: one at a time; outlives its
// sessions.
class Nghttp2Memory {
 public:
  Nghttp2Memory();
  ~Nghttp2Memory();
  Nghttp2Memory(const Nghttp2Memory&) = delete;
  Nghttp2Memory& operator=(const Nghttp2Memory&) = delete;

  nghttp2_mem* get() { return &mem_; }
  // Blocks taken from malloc since the start; stands still once warm.
  std::uint64_t system_allocations() const { return system_allocations_; }

 private:
  struct alignas(16) Block {
    std::size_t size;  // usable bytes
    Block* next;
  };
  static constexpr std::size_t kStep = 64;
  static constexpr std::size_t kSmallMax = 1024;
  static constexpr int kSmallClasses = static_cast<int>(kSmallMax / kStep);
  static constexpr int kClasses = kSmallClasses + 6;  // and 2, 4, 8, 16, 32, 64 KiB
  static constexpr std::size_t kKeptBytesMax = 8U << 20;

  void* Allocate(std::size_t size);
  void Free(void* pointer);
  void* Reallocate(void* pointer, std::size_t size);
  static int ClassOf(std::size_t size);  // kClasses: too large to keep
  static std::size_t SizeOf(int size_class);

  std::array<Block*, kClasses> free_{};
  std::size_t kept_bytes_ = 0;
  std::uint64_t system_allocations_ = 0;
  nghttp2_mem mem_;
};

}  // namespace coppice::rpc
