#pragma once

#include "common/base/status.h"
#include "loadgen/options.h"
#include "loadgen/report.h"

namespace coppice::loadgen {

// Runs the scenario on this thread until its end. Unavailable: a target cannot be reached.
StatusOr<RunResult> Execute(const Options& options);

}  // namespace coppice::loadgen
