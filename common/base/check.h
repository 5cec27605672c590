#pragma once

// Invariants. On in release builds too: a node that no longer knows what it holds must stop.
// COPPICE_CHECK(condition) or COPPICE_CHECK(condition, "why it holds").

#define COPPICE_CHECK(condition, ...)                                                          \
  do {                                                                                         \
    if (!(condition)) [[unlikely]] {                                                           \
      ::coppice::CheckFailed(__FILE__, __LINE__, #condition __VA_OPT__(" (" __VA_ARGS__ ")")); \
    }                                                                                          \
  } while (false)

#ifdef NDEBUG
#define COPPICE_DCHECK(condition, ...) \
  do {                                 \
  } while (false && (condition))
#else
#define COPPICE_DCHECK(condition, ...) COPPICE_CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif

namespace coppice {

// Prints the place and the condition to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* what);

}  // namespace coppice
