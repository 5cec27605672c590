#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/rpc/client.h"
#include "common/rpc/test_service.h"

namespace coppice::rpc {

// A ClientConnection on a loop thread of its own, for tests: calls are made from the test's thread,
// which waits for what they bring.
class TestClient : private ClientConnection::Observer {
 public:
  struct Result {
    bool finished = false;
    StatusCode code = StatusCode::kUnknown;
    std::string error;
    std::vector<std::string> messages;
    std::size_t bytes = 0;
    std::map<std::string, std::string> trailers;
  };

  explicit TestClient(std::uint16_t port);
  ~TestClient() override;

  bool WaitConnected();
  bool WaitLost();
  // Starts a call of /test.Echo/`method`; the key names it from then on.
  std::uint64_t Unary(const std::string& method, const std::string& message, Micros timeout = 0,
                      const std::vector<Header>& metadata = {});
  // Calls Unary with `message` once for each value of the header `name`, all of one template and
  // sent together; their keys.
  std::vector<std::uint64_t> UnaryEach(const std::string& message, const std::string& name,
                                       const std::vector<std::string>& values);
  std::uint64_t Stream(const std::string& method);
  void Send(std::uint64_t key, const std::string& message);
  void HalfClose(std::uint64_t key);
  void Cancel(std::uint64_t key);
  void Pause(std::uint64_t key, bool paused);
  // Waits until the call has brought so many bytes of messages; false after 20 s.
  bool WaitBytes(std::uint64_t key, std::size_t bytes);
  Result Wait(std::uint64_t key);  // until it is over
  Result Peek(std::uint64_t key);

 private:
  void OnMessage(std::uint64_t tag, std::string_view message) override;
  void OnTrailer(std::uint64_t tag, std::string_view name, std::string_view value) override;
  void OnFinish(std::uint64_t tag, const Status& status) override;
  std::uint64_t NewKey();

  LoopThread thread_{"client"};
  std::unique_ptr<ClientConnection> connection_;
  std::mutex mutex_;  // protects what follows
  std::condition_variable changed_;
  std::map<std::uint64_t, Result> results_;
  std::map<std::uint64_t, ClientConnection::CallHandle> handles_;
  std::uint64_t last_key_ = 0;
  bool connected_ = false;
  bool lost_ = false;
};

}  // namespace coppice::rpc
