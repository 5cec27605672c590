#include "common/node/posix_host.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
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

// A loop with its thread, both made for the first work.
class LoopWorker final : public Host::Worker {
 public:
  LoopWorker(io::Loop& home, std::string name) : home_(home), name_(std::move(name)) {}
  ~LoopWorker() override {
    *alive_ = false;
    if (!loop_) return;
    loop_->Stop();
    thread_.join();
  }
  void Run(std::function<void()> work, std::function<void()> done) override {
    if (!loop_) {
      loop_.emplace(name_);
      thread_ = std::thread([this] { loop_->Run(); });
    }
    loop_->Post([this, work = std::move(work), done = std::move(done)]() mutable {
      work();
      home_.Post([alive = alive_, done = std::move(done)] {
        if (*alive) done();
      });
    });
  }

 private:
  io::Loop& home_;
  const std::string name_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for the home loop's thread
  std::optional<io::Loop> loop_;
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
  return cpus <= 2 ? 1 : std::min(cpus, kThreadsMax);
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

std::unique_ptr<Host::Worker> PosixHost::MakeWorker(io::Loop& loop, const std::string& name) {
  return std::make_unique<LoopWorker>(loop, name);
}

void PosixHost::EndProcess(int code) {
  std::_Exit(code);
}

}  // namespace coppice::node
