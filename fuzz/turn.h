#pragma once

#include "common/io/loop.h"

namespace coppice::fuzz {

// The loop of all inputs of a process: making one costs more than an input. Thread: the fuzzer's.
inline io::Loop& TheLoop() {
  static auto* const kLoop = new io::Loop("fuzz");
  return *kLoop;
}

// What was posted until now is done.
inline void Turn() {
  TheLoop().Post([] { TheLoop().Stop(); });
  TheLoop().Run();
}

}  // namespace coppice::fuzz
