// Unit costs of the proxy: one request through it without sockets, a slab slot, joining a read.

#include <benchmark/benchmark.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/coding.h"
#include "common/io/envelope.h"
#include "common/replica/replica_wire.h"
#include "proxy/coalescer.h"
#include "proxy/proxy_node.h"

namespace coppice::proxy {
namespace {

class IgnoringReplier final : public api::Replier {
 public:
  explicit IgnoringReplier(std::size_t& answers) : answers_(answers) {}
  void Ok(std::span<const std::string_view>, const api::Served&) override { ++answers_; }
  void Fail(const Status&) override { ++answers_; }
  void Parts(std::uint64_t /*total*/, std::unique_ptr<api::PartSource> /*source*/) override {}
  void FailNotProposed(const Status&) override {}

 private:
  std::size_t& answers_;
};

api::Request RangeOf(std::string_view bytes) {
  api::Request request;
  request.method = api::Method::kRange;
  request.bytes = bytes;
  request.deadline = kNever - 1;
  return request;
}

std::vector<std::string> Keys(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) {
    std::string bytes;
    PutBytesField(bytes, 1, "/registry/pods/default/" + std::to_string(i));
    keys.push_back(std::move(bytes));
  }
  return keys;
}

// A learner's end in memory: notes the requests' streams, and answers them all when told.
class MemoryBackend final : public io::Connection, public io::Transport {
 public:
  MemoryBackend() {
    hello_.cluster_id = 1;
    hello_.node_id = 8;
    hello_.role = io::ProcessRole::kLearner;
    body_.assign(300, 'x');
    io::ReplyTail tail;
    io::PutReplyTail(body_, tail);
  }
  void Dial(const std::string&, std::uint16_t, io::ConnectionClass, io::ConnectionHandler& handler,
            OnFailure) override {
    handler_ = &handler;
  }
  void SetClusterId(std::uint64_t) override {}
  const io::Hello& peer() const override { return hello_; }
  std::string& BeginFrame(const io::Frame& frame, std::size_t size) override {
    io::PutFrameHeader(out_, frame, size);
    asked_.push_back(frame.stream);
    return out_;
  }
  std::size_t unsent_bytes() const override { return 0; }
  void Close(const Status& reason) override { handler_->OnClosed(*this, reason); }
  std::uint64_t id() const override { return 1; }

  void Open() {
    handler_->OnOpen(*this);
    Say();
  }
  void Say() {
    replica::NodeState state;
    state.id = NodeId(8);
    state.ready = true;
    state.leader = NodeId(1);
    state.staleness = 0;
    const std::string bytes = replica::EncodeNodeState(state);
    io::Frame frame;
    frame.type = io::FrameType::kNodeState;
    frame.payload = bytes;
    handler_->OnFrame(*this, frame);
  }
  std::size_t AnswerAll() {
    std::vector<io::StreamId> asked;
    asked.swap(asked_);
    out_.clear();
    io::Frame frame;
    frame.type = io::FrameType::kReply;
    frame.payload = body_;
    for (const io::StreamId stream : asked) {
      frame.stream = stream;
      handler_->OnFrame(*this, frame);
    }
    const std::size_t count = asked.size();
    asked.clear();
    asked_.swap(asked);
    return count;
  }

 private:
  io::Hello hello_;
  io::ConnectionHandler* handler_ = nullptr;
  std::vector<io::StreamId> asked_;
  std::string out_;
  std::string body_;
};

// From Serve to the client's replier: share, route, envelope and frame out, reply frame in. 32
// requests a turn, each for another key.
void BM_ProxyForward(benchmark::State& state) {
  constexpr std::size_t kTurn = 32;
  io::Loop loop("bench");
  MemoryBackend backend;
  ProxyNode::Options options;
  options.pool.upstreams = {{"memory", 1}};
  auto node = std::make_unique<ProxyNode>(loop, backend, options);
  const std::vector<std::string> keys = Keys(4096);
  std::size_t answers = 0;
  std::size_t next = 0;
  std::function<void()> turn = [&] {
    backend.AnswerAll();
    if (next % 4096 == 0) backend.Say();
    if (!state.KeepRunningBatch(kTurn)) return loop.Stop();
    for (std::size_t i = 0; i < kTurn; ++i) {
      node->Serve(RangeOf(keys[next++ % keys.size()]), std::make_unique<IgnoringReplier>(answers));
    }
    loop.Post(turn);
  };
  loop.Post([&] {
    node->Start();
    backend.Open();
    loop.Post(turn);  // what this posts runs in the next turn, behind the node's own
  });
  loop.Run();
  if (answers != next) state.SkipWithError("requests without an answer");
  node.reset();
}
BENCHMARK(BM_ProxyForward);

// Finding a pending request by its slot and generation.
void BM_SlotLookup(benchmark::State& state) {
  Coalescer coalescer({});
  std::size_t answers = 0;
  const std::vector<std::string> keys = Keys(1024);
  std::vector<GroupId> ids;
  for (const std::string& key : keys) {
    ids.push_back(coalescer.Add(0, RangeOf(key), std::make_unique<IgnoringReplier>(answers), true));
  }
  std::size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(coalescer.Find(ids[next++ % ids.size()]));
}
BENCHMARK(BM_SlotLookup);

// A read that joins one of its turn; 32 share. The replier's making is counted in.
void BM_CoalesceJoin(benchmark::State& state) {
  constexpr std::size_t kTurn = 32;
  Coalescer coalescer({});
  std::size_t answers = 0;
  const std::vector<std::string> keys = Keys(1);
  const std::string_view piece = "value";
  std::vector<GroupId> out;
  while (state.KeepRunningBatch(kTurn)) {
    for (std::size_t i = 0; i < kTurn; ++i) {
      coalescer.Add(0, RangeOf(keys[0]), std::make_unique<IgnoringReplier>(answers), true);
    }
    out.clear();
    coalescer.Take(0, 0, out);
    for (const GroupId id : out) coalescer.Ok(id, {&piece, 1}, {});
  }
}
BENCHMARK(BM_CoalesceJoin);

}  // namespace
}  // namespace coppice::proxy
