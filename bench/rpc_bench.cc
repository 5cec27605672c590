// What a unary call costs the gRPC edge (docs: the unit costs of the edge).
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <time.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/rpc/client.h"
#include "common/rpc/client_session.h"
#include "common/rpc/server.h"
#include "common/rpc/server_core.h"
#include "common/rpc/session.h"

namespace coppice::rpc {
namespace {

// A Range of one key of 256 bytes is about this large, either way.
constexpr std::size_t kRequestBytes = 40;
constexpr std::size_t kReplyBytes = 305;
constexpr char kPath[] = "/etcdserverpb.KV/Range";

class FixedReply final : public CallHandler {
 public:
  void OnMessage(Call& call, std::string_view /*message*/) override {
    const std::string_view reply = reply_;
    call.Write({&reply, 1});
    call.Finish(OkStatus());
  }

 private:
  const std::string reply_ = std::string(kReplyBytes, 'r');
};

// Keeps `calls` calls in flight.
class ClosedLoop final : public ClientConnection::Observer {
 public:
  void OnMessage(std::uint64_t /*tag*/, std::string_view message) override {
    bytes += message.size();
  }
  void OnFinish(std::uint64_t tag, const Status& status) override {
    failed += status.ok() ? 0 : 1;
    ++finished;
    if (again) again(tag);
  }
  std::size_t bytes = 0;
  std::uint64_t finished = 0;
  std::uint64_t failed = 0;
  std::function<void(std::uint64_t)> again;
};

struct QuietHost final : ServerSession::Host, ClientSession::Host {
  void WakeFlush() override {}
};

std::vector<MethodSpec> Methods(CallHandler& handler) {
  return {{kPath, false, false, &handler}};
}

// CPU time rather than wall time: the machine is shared.
Time CpuNanos(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<Time>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// The server's HTTP/2 and gRPC without sockets: bytes of a turn's requests in, bytes of the replies
// out. The client's share is not counted.
void BM_RpcUnaryCodec(benchmark::State& state) {
  const auto in_flight = static_cast<std::uint64_t>(state.range(0));
  io::Loop loop("bench");
  FixedReply handler;
  ServerCore core(loop, ServerOptions(), Methods(handler), nullptr);
  QuietHost host;
  ServerSession server(core, host, 0);
  ClientSession client(loop, host);
  client.SetAuthority("127.0.0.1:2379");
  ClosedLoop observer;
  const auto headers = client.Prepare(kPath, {}, 5 * kSecond);
  const std::string request(kRequestBytes, 'q');
  std::string up;
  std::string down;
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < in_flight; ++i) {
      const std::string_view message = request;
      client.Start(headers, &message, i, observer);
    }
    up.clear();
    client.Produce(up, 1 << 20);
    const Time start = CpuNanos(CLOCK_THREAD_CPUTIME_ID);
    server.Receive(up);
    down.clear();
    server.Produce(down, 1 << 20);
    const Time spent = CpuNanos(CLOCK_THREAD_CPUTIME_ID) - start;
    client.Receive(down);
    state.SetIterationTime(static_cast<double>(spent) / 1e9 / static_cast<double>(in_flight));
  }
  if (observer.failed > 0 || observer.bytes != observer.finished * kReplyBytes) {
    state.SkipWithError("a call failed");
  }
  state.counters["system_blocks"] = static_cast<double>(core.memory.system_allocations());
}
BENCHMARK(BM_RpcUnaryCodec)->Arg(32)->UseManualTime()->Iterations(20'000);

Time ThreadCpuNanos(std::thread& thread) {
  clockid_t clock{};
  pthread_getcpuclockid(thread.native_handle(), &clock);
  return CpuNanos(clock);
}

// The same over loopback TCP, server and client each on a loop of its own. The time is the server
// thread's CPU per call; `client_ns` is the client's.
void BM_RpcUnaryLoopback(benchmark::State& state) {
  const auto in_flight = static_cast<std::uint64_t>(state.range(0));
  constexpr std::uint64_t kCallsPerIteration = 20'000;
  io::Loop server_loop("server");
  io::Loop client_loop("client");
  FixedReply handler;
  auto server = std::make_unique<Server>(server_loop, ServerOptions(), Methods(handler), nullptr);
  auto acceptor = std::make_unique<Acceptor>(
      server_loop, std::vector<std::pair<io::Loop*, Server*>>{{&server_loop, server.get()}});
  const auto port = acceptor->Listen("127.0.0.1", 0, 0);
  auto client = std::make_unique<ClientConnection>(client_loop);
  ClosedLoop observer;
  const std::string request(kRequestBytes, 'q');
  std::uint64_t left = 0;
  std::promise<void>* done = nullptr;
  const auto headers = client->Prepare(kPath, {}, 5 * kSecond);
  std::uint64_t running = 0;
  observer.again = [&](std::uint64_t tag) {
    if (left > 0) {
      --left;
      client->Unary(headers, request, tag, observer);
    } else if (--running == 0) {
      done->set_value();
    }
  };
  std::promise<void> connected;
  std::thread server_thread([&] { server_loop.Run(); });
  std::thread client_thread([&] { client_loop.Run(); });
  client_loop.Post(
      [&] { client->Connect("127.0.0.1", *port, [&](const Status&) { connected.set_value(); }); });
  connected.get_future().wait();
  Time client_nanos = 0;
  for (auto _ : state) {
    std::promise<void> finished;
    done = &finished;
    const Time server_start = ThreadCpuNanos(server_thread);
    const Time client_start = ThreadCpuNanos(client_thread);
    client_loop.Post([&] {
      left = kCallsPerIteration - in_flight;
      running = in_flight;
      for (std::uint64_t i = 0; i < in_flight; ++i) client->Unary(headers, request, i, observer);
    });
    finished.get_future().wait();
    state.SetIterationTime(static_cast<double>(ThreadCpuNanos(server_thread) - server_start) / 1e9 /
                           kCallsPerIteration);
    client_nanos += ThreadCpuNanos(client_thread) - client_start;
  }
  server_loop.Stop();
  client_loop.Stop();
  server_thread.join();
  client_thread.join();
  if (observer.failed > 0) state.SkipWithError("a call failed");
  state.counters["client_ns"] =
      static_cast<double>(client_nanos) / static_cast<double>(observer.finished);
  client.reset();
  acceptor.reset();
  server.reset();
}
BENCHMARK(BM_RpcUnaryLoopback)->Arg(32)->Arg(1)->UseManualTime()->Iterations(20);

}  // namespace
}  // namespace coppice::rpc
