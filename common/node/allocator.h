#pragma once

#include <cstddef>

// The allocator of the programs that hold or carry data: jemalloc, and huge pages for what is large
// (docs/adr/0011-allocator.md). Built for a sanitizer, which brings its own, all of this does
// nothing.
namespace coppice::node {

// A process that has mapped less than this keeps small pages, so that an idle one stays small.
constexpr std::size_t kSmallPagesBelow = std::size_t{32} << 20;

// Asks the kernel to back with huge pages (Linux: transparent_hugepage, "always" or "madvise") what
// the allocator maps once the process has mapped kSmallPagesBelow bytes. Where the machine has them
// off, or jemalloc refuses, this changes nothing. Thread: main, before any other is started.
void UseHugePages();

// Bytes that the calling thread has allocated so far, less those that it has freed; 0 with a
// sanitizer. For benchmarks.
std::size_t AllocatedByThread();

}  // namespace coppice::node
