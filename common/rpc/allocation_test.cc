// A binary of its own: it replaces operator new to count.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "common/rpc/client_session.h"
#include "common/rpc/server_core.h"
#include "common/rpc/session.h"

namespace {

std::size_t g_news = 0;

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++g_news;
  void* pointer = std::malloc(size);
  if (pointer == nullptr) std::abort();
  return pointer;
}
[[gnu::noinline]] void operator delete(void* pointer) noexcept {
  std::free(pointer);
}
[[gnu::noinline]] void operator delete(void* pointer, std::size_t) noexcept {
  std::free(pointer);
}

namespace coppice::rpc {
namespace {

class Echo final : public CallHandler {
 public:
  void OnMessage(Call& call, std::string_view message) override {
    call.Write({&message, 1});
    call.Finish(OkStatus());
  }
};

class Counter final : public ClientConnection::Observer {
 public:
  void OnMessage(std::uint64_t /*tag*/, std::string_view message) override {
    bytes += message.size();
  }
  void OnFinish(std::uint64_t /*tag*/, const Status& status) override { ok += status.ok() ? 1 : 0; }
  std::size_t bytes = 0;
  int ok = 0;
};

struct QuietHost final : ServerSession::Host, ClientSession::Host {
  void WakeFlush() override {}
};

TEST(Allocation, ASteadyUnaryCallTakesNothingFromTheHeapOnEitherSide) {
  io::Loop loop("test");
  Echo echo;
  ServerCore core(loop, ServerOptions(), {{"/test.Echo/Unary", false, false, &echo}}, nullptr);
  QuietHost host;
  ServerSession server(core, host, 0);
  ClientSession client(loop, host);
  client.SetAuthority("127.0.0.1:2379");
  const Header metadata[] = {{"token", "a-token-longer-than-a-short-string"}};
  const auto headers = client.Prepare("/test.Echo/Unary", metadata, 5 * kSecond);
  const std::string request(300, 'q');
  std::string up;
  std::string down;
  up.reserve(1 << 20);
  down.reserve(1 << 20);
  Counter counter;
  constexpr int kTurns = 300;
  constexpr int kInFlight = 32;
  std::size_t news_when_warm = 0;
  std::uint64_t blocks_when_warm = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    if (turn == kTurns / 2) {
      news_when_warm = g_news;
      blocks_when_warm = core.memory.system_allocations();
    }
    const std::string_view message = request;
    for (int i = 0; i < kInFlight; ++i) client.Start(headers, &message, 0, counter);
    up.clear();
    client.Produce(up, 1 << 20);
    ASSERT_TRUE(server.Receive(up));
    down.clear();
    server.Produce(down, 1 << 20);
    ASSERT_TRUE(client.Receive(down));
  }
  EXPECT_EQ(counter.ok, kTurns * kInFlight);
  EXPECT_EQ(counter.bytes, kTurns * kInFlight * request.size());
  EXPECT_EQ(g_news, news_when_warm);
  EXPECT_EQ(core.memory.system_allocations(), blocks_when_warm);
}

}  // namespace
}  // namespace coppice::rpc
