#include "common/node/posix_host.h"

#include <sys/random.h>

#include <cstdlib>
#include <thread>
#include <utility>

#include "common/base/check.h"
#include "common/io/asio_transport.h"
#include "common/io/cpus.h"

namespace coppice::node {
namespace {

class Thread final : public Host::Background {
 public:
  explicit Thread(std::function<void()> work) : thread_(std::move(work)) {}
  ~Thread() override { thread_.join(); }

 private:
  std::thread thread_;
};

}  // namespace

std::uint64_t PosixHost::RandomId() {
  std::uint64_t id = 0;
  while (id == 0) COPPICE_CHECK(getrandom(&id, sizeof id, 0) == sizeof id);
  return id;
}

int PosixHost::ThreadsFor(int threads) {
  if (threads > 0) return threads;
  const int cpus = io::UsableCpus();
  return cpus <= 2 ? 1 : cpus;
}

std::unique_ptr<io::Loop> PosixHost::MakeLoop(const std::string& name) {
  return std::make_unique<io::Loop>(name);
}

std::unique_ptr<io::Transport> PosixHost::MakeTransport(io::Loop& loop,
                                                        const io::TransportOptions& options,
                                                        io::Accept accept) {
  return std::make_unique<io::AsioTransport>(loop, options, std::move(accept));
}

std::unique_ptr<io::Listener> PosixHost::MakeListener(io::Loop& loop,
                                                      const io::TransportOptions& options,
                                                      io::Listener::Choose choose) {
  return std::make_unique<io::PeerListener>(loop, options, std::move(choose));
}

std::unique_ptr<Host::Background> PosixHost::Run(std::function<void()> work) {
  return std::make_unique<Thread>(std::move(work));
}

void PosixHost::EndProcess(int code) {
  std::_Exit(code);
}

}  // namespace coppice::node
