#pragma once

#include <cstdint>
#include <string_view>

// Named places at which a test of real processes makes something fail (deploy/chaos.sh). They are
// in every build and inert unless the environment variable COPPICE_FAILPOINTS names a file at the
// process's start: then a reached point looks at that file, so a test can arm points while the
// process runs, by replacing the file. Its lines, the last one of a name counts, '#' begins a
// comment (docs/operations.md names the points):
//
//   NAME ACTION [skip=N] [times=N]
//
// `kill` and `stop` send the process that signal, `delay=MS` waits, `eio` and `enospc` make the
// operation fail as a disk that is broken or full would, `on` takes the branch that is rare.
// It acts at the point's N+1st passage after the file changed (skip, 0), and then that many times
// (times; kill and stop 1, else without end). Each time a warning says so.
namespace coppice::failpoint {

enum class Fault : std::uint8_t { kNone, kIoError, kNoSpace, kOn };

namespace internal {
// Read at start and never changed: off, a point costs this look.
extern const bool kArmed;
Fault Reached(std::string_view name);
}  // namespace internal

// The fault that the caller is to act out. Any thread.
inline Fault Reached(std::string_view name) {
  if (!internal::kArmed) [[likely]] {
    return Fault::kNone;
  }
  return internal::Reached(name);
}

// A place where nothing can fail, only the process be killed, stopped or delayed.
inline void Pass(std::string_view name) {
  if (internal::kArmed) [[unlikely]] {
    (void)internal::Reached(name);
  }
}

inline bool Armed() {
  return internal::kArmed;
}

}  // namespace coppice::failpoint
