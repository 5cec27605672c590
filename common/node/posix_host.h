#pragma once

#include <memory>
#include <string>

#include "common/node/host.h"

namespace coppice::node {

// The machine itself: threads, TCP, CLOCK_BOOTTIME, getrandom.
class PosixHost : public Host {
 public:
  const Clock& clock() override { return clock_; }
  std::uint64_t RandomId() override;
  int ThreadsFor(int threads) override;
  std::unique_ptr<io::Loop> MakeLoop(const std::string& name) override;
  std::unique_ptr<io::Transport> MakeTransport(io::Loop& loop, const io::TransportOptions& options,
                                               io::Accept accept) override;
  std::unique_ptr<io::Listener> MakeListener(io::Loop& loop, const io::TransportOptions& options,
                                             io::Listener::Choose choose) override;
  std::unique_ptr<Background> Run(std::function<void()> work) override;
  std::unique_ptr<Worker> MakeWorker(io::Loop& loop, const std::string& name) override;
  void EndProcess(int code) override;

 private:
  const io::SystemClock clock_{};
};

}  // namespace coppice::node
