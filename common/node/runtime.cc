#include "common/node/runtime.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"

namespace coppice::node {

Runtime::Runtime(Host& host, Placement placement) : host_(host) {
  COPPICE_CHECK(placement.threads >= 1);
  const bool core_apart = placement.has_core && placement.threads > 1;
  if (core_apart) loops_.push_back(host.MakeLoop("core"));
  first_io_ = loops_.size();
  const int io_loops = core_apart ? placement.threads - 1 : placement.threads;
  for (int i = 0; i < io_loops; ++i) {
    loops_.push_back(host.MakeLoop(fmt::format("io{}", i)));
  }
}

Runtime::~Runtime() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Runtime::Run(std::function<void()> on_signal) {
  std::signal(SIGPIPE, SIG_IGN);
  boost::asio::signal_set signals(core().context(), SIGTERM, SIGINT);
  bool stopping = false;
  std::function<void(const boost::system::error_code&, int)> heard =
      [&](const boost::system::error_code& error, int number) {
        if (error) return;
        if (std::exchange(stopping, true)) _exit(128 + number);
        COPPICE_LOG(kInfo, "signal {}: stopping", number);
        on_signal();
        signals.async_wait(heard);
      };
  signals.async_wait(heard);
  for (std::size_t i = 1; i < loops_.size(); ++i) {
    threads_.emplace_back([loop = loops_[i].get()] { loop->Run(); });
  }
  core().Run();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Runtime::Stop() {
  for (auto& loop : loops_) loop->Stop();
}

}  // namespace coppice::node
