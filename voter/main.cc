#include <cstdio>

#include "common/base/log.h"
#include "common/node/logging.h"
#include "voter/flags.h"
#include "voter/voter.h"

int main(int argc, char** argv) {
  using namespace coppice;
  voter::VoterOptions options;
  if (const auto code = voter::ParseFlags(argc, argv, options)) return *code;
  node::SetUpLogging(options.flags.log_level, options.flags.log_format);
  auto voter = voter::Voter::Open(options);
  if (!voter.ok()) {
    COPPICE_LOG(kError, "cannot start: {}", MessageOf(voter.status()));
    return 1;
  }
  if (const Status status = (*voter)->Run(); !status.ok()) {
    COPPICE_LOG(kError, "stopped with an error: {}", MessageOf(status));
    return 1;
  }
  return 0;
}
