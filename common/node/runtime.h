#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/io/loop.h"
#include "common/node/host.h"

namespace coppice::node {

// The event loops of a process and the threads they run on. With one thread the core shares it with
// the only io loop; with N threads there are N - 1 io loops beside the core's, or N where there is
// no core (a proxy).
class Runtime {
 public:
  struct Placement {
    int threads = 1;
    bool has_core = true;
  };

  Runtime(Host& host, Placement placement);
  ~Runtime();

  Host& host() { return host_; }
  io::Loop& core() { return *loops_.front(); }
  io::Loop& io(int index) { return *loops_[first_io_ + static_cast<std::size_t>(index)]; }
  int io_count() const { return static_cast<int>(loops_.size() - first_io_); }
  int threads() const { return static_cast<int>(loops_.size()); }
  bool one_loop() const { return loops_.size() == 1; }

  // Runs every loop, the core's on the calling thread, until Stop. SIGTERM and SIGINT call
  // `on_signal` on the core's loop (a second one ends the process at once).
  void Run(std::function<void()> on_signal);
  void Stop();

 private:
  Host& host_;
  std::vector<std::unique_ptr<io::Loop>> loops_;
  std::size_t first_io_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace coppice::node
