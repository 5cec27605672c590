#include <cstdio>

#include "common/base/log.h"
#include "common/node/logging.h"
#include "learner/flags.h"
#include "learner/learner.h"

int main(int argc, char** argv) {
  using namespace coppice;
  learner::LearnerOptions options;
  if (const auto code = learner::ParseFlags(argc, argv, options)) return *code;
  node::SetUpLogging(options.flags.log_level, options.flags.log_format);
  auto learner = learner::Learner::Open(options);
  if (!learner.ok()) {
    COPPICE_LOG(kError, "cannot start: {}", MessageOf(learner.status()));
    return 1;
  }
  if (const Status status = (*learner)->Run(); !status.ok()) {
    COPPICE_LOG(kError, "stopped with an error: {}", MessageOf(status));
    return 1;
  }
  return 0;
}
