#include <cstdio>

#include "common/base/log.h"
#include "common/io/posix_disk.h"
#include "common/mvcc/rocksdb_backend.h"
#include "common/node/allocator.h"
#include "common/node/listen_check.h"
#include "common/node/logging.h"
#include "common/node/posix_host.h"
#include "voter/first_start.h"
#include "voter/flags.h"
#include "voter/voter.h"

int main(int argc, char** argv) {
  using namespace coppice;
  node::UseHugePages();
  voter::VoterOptions options;
  if (const auto code = voter::ParseFlags(argc, argv, options)) return *code;
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
  const Status first = voter::PassFirstStart(options, host, disk);
  if (first.code() == StatusCode::kCancelled) return 0;  // told to stop, and has said so
  auto voter = first.ok() ? voter::Voter::Open(options, host, storage) : first;
  const Status started = voter.ok() ? (*voter)->ListenForClients() : voter.status();
  if (!started.ok()) {
    COPPICE_LOG(kError, "cannot start: {}", MessageOf(started));
    return 1;
  }
  if (const Status status = (*voter)->Run(); !status.ok()) {
    COPPICE_LOG(kError, "stopped with an error: {}", MessageOf(status));
    return 1;
  }
  return 0;
}
