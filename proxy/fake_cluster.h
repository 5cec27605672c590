#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/api/node.h"
#include "common/io/asio_transport.h"
#include "common/io/loop.h"
#include "common/node/request_server.h"
#include "common/replica/registry.h"
#include "common/replica/replica_wire.h"

namespace coppice::proxy {

// A voter or learner for tests of the proxy: the real transport and request server, over a node
// that notes what it is asked and answers what the test says. All on one loop.
class FakeBackend final : public api::Node {
 public:
  struct Asked {
    api::Method method;
    std::string bytes;
    ReadMode mode;
  };
  // What to do with a request; hold: until AnswerHeld.
  enum class Answer { kOk, kHold, kNotProposed, kUnavailable };

  FakeBackend(io::Loop& loop, std::uint64_t id, replica::NodeRole role,
              std::uint64_t cluster_id = 77, std::uint16_t at_port = 0)
      : server_(loop, *this, nullptr) {
    state.id = NodeId(id);
    state.role = role;
    state.ready = true;
    state.term = Term(3);
    state.revision = 10;
    state.staleness = 5 * kMillisecond;
    io::TransportOptions options;
    options.hello.cluster_id = cluster_id;
    options.hello.node_id = id;
    options.hello.boot_nonce = id;
    options.hello.role =
        role == replica::NodeRole::kVoter ? io::ProcessRole::kVoter : io::ProcessRole::kLearner;
    transport_ = std::make_unique<io::AsioTransport>(loop, options,
                                                     [this](const io::Hello&) { return &server_; });
    listener_ = std::make_unique<io::PeerListener>(
        loop, options, [this](const io::Hello&) { return transport_.get(); });
    port = *listener_->Listen("127.0.0.1", at_port);
    server_.SetGreeting([this](io::Connection& connection) { Greet(connection); });
  }

  void Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) override {
    asked.push_back({request.method, std::string(request.bytes), request.consistency.mode});
    switch (answer) {
      case Answer::kOk:
        return Reply(*replier);
      case Answer::kHold:
        return held_.push_back(std::move(replier));
      case Answer::kNotProposed:
        return replier->FailNotProposed(MakeStatus(StatusCode::kUnavailable, "not the leader"));
      case Answer::kUnavailable:
        return replier->Fail(MakeStatus(StatusCode::kUnavailable, "etcdserver: no leader"));
    }
  }

  void Reply(api::Replier& replier) const {
    const std::string name = "from " + std::to_string(state.id.value());
    const std::string_view pieces[] = {reply.empty() ? std::string_view(name) : reply};
    api::Served served;
    served.by = state.id;
    replier.Ok(pieces, served);
  }
  void AnswerHeld() {
    for (auto& replier : std::exchange(held_, {})) Reply(*replier);
  }
  void Say() { server_.Broadcast(io::FrameType::kNodeState, replica::EncodeNodeState(state)); }
  void SayRegistry(const replica::Registry& registry) {
    server_.Broadcast(io::FrameType::kRegistry, registry.EncodeContents());
  }
  void Greet(io::Connection& connection) const {
    const std::string bytes = replica::EncodeNodeState(state);
    io::Frame frame;
    frame.type = io::FrameType::kNodeState;
    frame.payload = bytes;
    connection.Send(frame);
  }
  // As if the process was killed: what it holds is never answered.
  void Die() {
    listener_->Close();
    server_.CloseAll(MakeStatus(StatusCode::kUnavailable, "killed"));
  }
  std::size_t held() const { return held_.size(); }
  node::RequestServer& server() { return server_; }

  replica::NodeState state;
  Answer answer = Answer::kOk;
  std::string reply;
  std::vector<Asked> asked;
  std::uint16_t port = 0;

 private:
  node::RequestServer server_;
  std::vector<std::unique_ptr<api::Replier>> held_;
  std::unique_ptr<io::AsioTransport> transport_;
  std::unique_ptr<io::PeerListener> listener_;
};

}  // namespace coppice::proxy
