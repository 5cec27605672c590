#include "common/base/log.h"
#include "common/node/allocator.h"
#include "common/node/listen_check.h"
#include "common/node/logging.h"
#include "common/node/posix_host.h"
#include "proxy/flags.h"
#include "proxy/proxy.h"

int main(int argc, char** argv) {
  using namespace coppice;
  node::UseHugePages();
  proxy::ProxyOptions options;
  if (const auto code = proxy::ParseFlags(argc, argv, options)) return *code;
  node::SetUpLogging(options.flags.log_level, options.flags.log_format);
  node::PosixHost host;
  auto end = proxy::Proxy::End::kReplaced;
  while (end == proxy::Proxy::End::kReplaced) {
    proxy::Proxy proxy(options, host);
    Status status = node::CheckListening(options.flags, {});
    if (status.ok()) status = proxy.ListenForClients();
    if (!status.ok()) {
      COPPICE_LOG(kError, "cannot start: {}", MessageOf(status));
      return 1;
    }
    end = proxy.Run();
  }
  COPPICE_LOG(kInfo, "stopped");
  return 0;
}
