#pragma once

#include "common/io/frame.h"

namespace coppice::fuzz {

// The decoder of the frame's type, if it has one: what it accepts keeps its invariants, and written
// out is read as the same.
void CheckFrame(const io::Frame& frame);

}  // namespace coppice::fuzz
