#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/rpc/server.h"

namespace coppice::rpc {

// A loop on a thread of its own, for tests.
class LoopThread {
 public:
  explicit LoopThread(const std::string& name = "test") : loop_(name) {}
  ~LoopThread() { Stop(); }

  io::Loop& loop() { return loop_; }
  void Start() {
    thread_ = std::thread([this] { loop_.Run(); });
  }
  void Stop() {
    if (!thread_.joinable()) return;
    loop_.Stop();
    thread_.join();
  }
  // Runs `work` on the loop and returns its result.
  template <typename Work>
  auto Call(Work work) {
    auto task = std::make_shared<std::packaged_task<decltype(work())()>>(std::move(work));
    auto result = task->get_future();
    loop_.Post([task] { (*task)(); });
    return result.get();
  }

 private:
  io::Loop loop_;
  std::thread thread_;
};

// What the test methods saw.
struct TestCounts {
  std::atomic<int> started{0};
  std::atomic<int> messages{0};
  std::atomic<int> half_closed{0};
  std::atomic<int> done{0};
};

// The methods of /test.Echo/ (messages are plain bytes):
//   Unary         the same bytes back; "fail": InvalidArgument with an odd message and a trailer;
//                 "metadata": what of the metadata was understood
//   Never         no answer
//   ClientStream  all messages joined
//   ServerStream  request "N": the messages "0" to "N-1"
//   Bidi          each message back at once
//   Flood         request "N": N bytes in messages of 1 KiB, as fast as the client takes them
//   Parts         request "N": one message of N bytes in parts
class TestService {
 public:
  TestService();
  ~TestService();
  std::vector<MethodSpec> Methods();
  TestCounts& counts() { return counts_; }

 private:
  std::vector<std::unique_ptr<CallHandler>> handlers_;
  std::vector<MethodSpec> methods_;
  TestCounts counts_;
};

// The service on a loop thread with a port of its own.
class TestServer {
 public:
  explicit TestServer(const ServerOptions& options = ServerOptions());
  ~TestServer();

  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  TestCounts& counts() { return service_.counts(); }
  LoopThread& thread() { return thread_; }
  Server& server() { return *server_; }  // on its loop only
  std::size_t Calls();
  std::size_t Connections();
  // Waits until `condition` holds; false if it takes too long.
  static bool Eventually(const std::function<bool()>& condition);

 private:
  TestService service_;
  LoopThread thread_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Acceptor> acceptor_;
  std::uint16_t port_ = 0;
};

}  // namespace coppice::rpc
