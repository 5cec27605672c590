#include "common/node/allocator.h"

#include <jemalloc/jemalloc.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <string>

// jemalloc reads it before main. By default it has four arenas a CPU; threads that share four have
// their own caches, and what lies free in an arena is lost to the others.
const char* malloc_conf = "narenas:4";

namespace coppice::node {
namespace {

constexpr int kArenas = 4;  // as malloc_conf says

extent_hooks_t* g_default = nullptr;  // written before there are threads
std::atomic<std::size_t> g_mapped{0};

std::uint64_t Read(const char* name) {
  std::uint64_t value = 0;
  std::size_t size = sizeof(value);
  (void)mallctl(name, &value, &size, nullptr, 0);
  return value;
}

void* Map(extent_hooks_t* /*hooks*/, void* at, std::size_t size, std::size_t alignment, bool* zero,
          bool* commit, unsigned arena) {
  void* const extent = g_default->alloc(g_default, at, size, alignment, zero, commit, arena);
  if (extent == nullptr) return nullptr;
  // Advice only: where the kernel has no huge pages, small ones do.
  if (g_mapped.fetch_add(size, std::memory_order_relaxed) >= kSmallPagesBelow) {
    (void)madvise(extent, size, MADV_HUGEPAGE);
  }
  return extent;
}

}  // namespace

void UseHugePages() {
  static extent_hooks_t hooks;
  std::size_t size = sizeof(void*);  // of what is read
  if (mallctl("arena.0.extent_hooks", &g_default, &size, nullptr, 0) != 0) return;
  hooks = *g_default;
  hooks.alloc = Map;
  extent_hooks_t* ours = &hooks;
  for (int i = 0; i < kArenas; ++i) {  // makes those that are not there yet
    const std::string name = "arena." + std::to_string(i) + ".extent_hooks";
    (void)mallctl(name.c_str(), nullptr, nullptr, &ours, sizeof(void*));
  }
}

std::size_t AllocatedByThread() {
  return Read("thread.allocated") - Read("thread.deallocated");
}

}  // namespace coppice::node
