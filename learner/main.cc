#include <cstdio>

#include "common/base/log.h"
#include "common/io/posix_disk.h"
#include "common/mvcc/rocksdb_backend.h"
#include "common/node/allocator.h"
#include "common/node/listen_check.h"
#include "common/node/logging.h"
#include "common/node/posix_host.h"
#include "learner/flags.h"
#include "learner/learner.h"

int main(int argc, char** argv) {
  using namespace coppice;
  node::UseHugePages();
  learner::LearnerOptions options;
  if (const auto code = learner::ParseFlags(argc, argv, options)) return *code;
  node::SetUpLogging(options.flags.log_level, options.flags.log_format);
  if (const Status free = node::CheckListening(options.flags, options.listen_peer_urls);
      !free.ok()) {
    COPPICE_LOG(kError, "cannot start: {}", MessageOf(free));
    return 1;
  }
  node::PosixHost host;
  io::PosixDisk disk;
  const node::Storage storage{&disk,
                              [](const std::string& path) { return mvcc::OpenRocksDb(path); }};
  auto learner = learner::Learner::Open(options, host, storage);
  if (learner.status().code() == StatusCode::kCancelled) return 0;  // told to stop, and has said so
  const Status started = learner.ok() ? (*learner)->ListenForClients() : learner.status();
  if (!started.ok()) {
    COPPICE_LOG(kError, "cannot start: {}", MessageOf(started));
    return 1;
  }
  if (const Status status = (*learner)->Run(); !status.ok()) {
    COPPICE_LOG(kError, "stopped with an error: {}", MessageOf(status));
    return 1;
  }
  return 0;
}
