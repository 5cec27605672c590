#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/io/disk.h"
#include "common/io/loop.h"
#include "common/io/transport.h"

namespace coppice::mvcc {
class KvBackend;
}

namespace coppice::node {

// Of a process; all but one of them may have reads that wait (replica::kGateLoopsMax).
constexpr int kThreadsMax = 64;

// What a process takes from the machine it runs on (docs/adr/0008-host.md): loops with their time,
// connections with other processes, randomness, work in the background, and its own end. A real
// machine: PosixHost. The simulator has its own. Outlives what it made.
// Thread: Make* before the loops run; the rest any.
class Host {
 public:
  virtual ~Host() = default;
  virtual const Clock& clock() = 0;
  virtual std::uint64_t RandomId() = 0;     // never 0; for ids, boot nonces and seeds
  virtual int ThreadsFor(int threads) = 0;  // of a process that was told `threads` (0: choose)
  virtual std::unique_ptr<io::Loop> MakeLoop(const std::string& name) = 0;
  virtual std::unique_ptr<io::Transport> MakeTransport(io::Loop& loop,
                                                       const io::TransportOptions& options,
                                                       io::Accept accept) = 0;
  // For transports that this host made.
  virtual std::unique_ptr<io::Listener> MakeListener(io::Loop& loop,
                                                     const io::TransportOptions& options,
                                                     io::Listener::Choose choose) = 0;
  // Runs `work` beside the loops, one at a time. The returned object waits for its end when it
  // dies.
  class Background {
   public:
    virtual ~Background() = default;
  };
  virtual std::unique_ptr<Background> Run(std::function<void()> work) = 0;
  // A thread beside the loops that waits for the disk in their place.
  class Worker {
   public:
    // Waits for the work that has begun; no `done` is called any more.
    virtual ~Worker() = default;
    // Does `work` on the worker's thread, each in its turn, then calls `done` on the loop's.
    virtual void Run(std::function<void()> work, std::function<void()> done) = 0;
  };
  // Dies after `loop` has stopped, or on its thread.
  virtual std::unique_ptr<Worker> MakeWorker(io::Loop& loop, const std::string& name) = 0;
  // Ends the process at once, as a crash: no destructor runs, nothing that is queued leaves. In a
  // simulation it returns, and nothing that the process does afterwards has an effect.
  virtual void EndProcess(int code) = 0;
};

// Where a process keeps its data.
struct Storage {
  io::Disk* disk = nullptr;
  // Opens or creates the key-value storage below a state store, in the directory given.
  std::function<StatusOr<std::unique_ptr<mvcc::KvBackend>>(const std::string& path)> open_backend;
};

}  // namespace coppice::node
