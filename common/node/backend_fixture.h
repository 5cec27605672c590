#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/io/envelope.h"
#include "common/io/memory_transport.h"
#include "common/node/backend.h"
#include "common/node/request_server.h"

// A Backend and the RequestServer it talks to, over the in-memory transport, on the test's thread.

namespace coppice::node {

using Next = api::PartSource::Next;

struct Outcome {
  int answers = 0;
  std::string body;
  Status status;
  bool not_proposed = false;
  api::Served served;
  std::uint64_t total = 0;
  std::unique_ptr<api::PartSource> source;
  int ready = 0;

  // Takes all that has come; what the last Take said.
  Next Drain() {
    Next next = Next::kMore;
    while (next == Next::kMore) next = source->Take(body);
    return next;
  }
};

class NotingReplier final : public api::Replier {
 public:
  explicit NotingReplier(Outcome& outcome) : outcome_(outcome) {}
  void Ok(std::span<const std::string_view> pieces, const api::Served& served) override {
    ++outcome_.answers;
    for (const std::string_view piece : pieces) outcome_.body += piece;
    outcome_.served = served;
  }
  void Fail(const Status& status) override {
    ++outcome_.answers;
    outcome_.status = status;
  }
  void FailNotProposed(const Status& status) override {
    Fail(status);
    outcome_.not_proposed = true;
  }
  void Parts(std::uint64_t total, std::unique_ptr<api::PartSource> source) override {
    ++outcome_.answers;
    outcome_.total = total;
    outcome_.source = std::move(source);
    outcome_.source->SetReady([&outcome = outcome_] { ++outcome.ready; });
  }

 private:
  Outcome& outcome_;
};

// What a node is asked; the test answers.
class HoldingNode final : public api::Node {
 public:
  struct Asked {
    api::Request request;
    std::string bytes;
    std::string token;
    std::unique_ptr<api::Replier> replier;
  };
  void Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) override {
    asked.push_back(
        {request, std::string(request.bytes), std::string(request.token), std::move(replier)});
  }
  std::deque<Asked> asked;
};

// Parts that the test hands out one by one.
struct SlowParts final : api::PartSource {
  struct Tap {
    std::string now;
    bool end = false;
    Status lost;
    std::function<void()> ready;
    bool alive = true;
    std::size_t taken = 0;
  };
  explicit SlowParts(Tap& to) : tap(to) {}
  ~SlowParts() override { tap.alive = false; }
  Next Take(std::string& out) override {
    if (!tap.lost.ok()) return Next::kLost;
    tap.taken += tap.now.size();
    out += std::exchange(tap.now, {});
    return tap.end ? Next::kEnd : Next::kWait;
  }
  void SetReady(std::function<void()> ready) override { tap.ready = std::move(ready); }
  api::Served served() const override { return {NodeId(9), ReadMode::kBounded, kMillisecond, 42}; }
  Status status() const override { return tap.lost; }
  Tap& tap;
};

class BackendTest : public testing::Test, public Backend::Observer {
 protected:
  BackendTest() : server(loop, node, nullptr) {
    io::TransportOptions options;
    options.hello.node_id = 1;
    near = network.Join(options);
    options.hello.node_id = 2;
    far = network.Join(options);
    ListenWith(server);
  }
  void ListenWith(io::ConnectionHandler& handler) {
    network.Listen(*far, "far", 1, [&handler](const io::Hello&) { return &handler; });
  }
  ~BackendTest() override {
    backend.reset();
    network.DeliverAll();
    node.asked.clear();  // whose repliers know the server
  }
  void Connect() {
    Link::Options address;
    address.host = "far";
    address.port = 1;
    address.pause_min = kMillisecond;
    backend.emplace(loop, *near, address, *this, Rng(1));
    backend->Start();
    network.DeliverAll();
    ASSERT_TRUE(backend->up());
  }
  void Reconnect() {
    const Time end = io::SystemClock().Now() + 10 * kSecond;
    std::function<void()> look = [&] {
      network.DeliverAll();
      if (backend->up() || io::SystemClock().Now() >= end) return loop.Stop();
      loop.RunAt(loop.Refresh() + kMillisecond, look);
    };
    loop.Post(look);
    loop.Run();
    ASSERT_TRUE(backend->up());
  }
  Outcome& Ask(std::string_view bytes, Time deadline = kNever) {
    Outcome& outcome = outcomes.emplace_back();
    api::Request request;
    request.method = api::Method::kRange;
    request.bytes = bytes;
    request.token = "who asks";
    request.deadline = deadline;
    backend->Send(request, std::make_unique<NotingReplier>(outcome));
    network.DeliverAll();
    return outcome;
  }
  // Answers the oldest request.
  void Answer(std::string_view body) {
    const auto asked = std::move(node.asked.front());
    node.asked.pop_front();
    asked.replier->Ok({&body, 1}, {NodeId(9), ReadMode::kBounded, 3 * kMillisecond, 41});
    network.DeliverAll();
  }
  void AnswerInParts(std::uint64_t total, SlowParts::Tap& tap) {
    const auto asked = std::move(node.asked.front());
    node.asked.pop_front();
    asked.replier->Parts(total, std::make_unique<SlowParts>(tap));
    network.DeliverAll();
  }
  void Pour(SlowParts::Tap& tap, std::string bytes, bool end = false) {
    tap.now = std::move(bytes);
    tap.end = end;
    tap.ready();
    network.DeliverAll();
  }

  void OnUp(Backend& /*backend*/) override {}
  void OnDown(Backend& /*backend*/, const Status& /*reason*/,
              std::vector<Unanswered> requests) override {
    for (Unanswered& request : requests) left.push_back(std::move(request));
  }
  void OnNotProposed(Backend& /*backend*/, Unanswered request) override {
    refused.push_back(std::move(request));
  }
  void OnAnswered(Backend& /*backend*/, Micros /*latency*/) override {
    ++answered;
    if (on_answered) on_answered();
  }
  void OnFrame(Backend& /*backend*/, const io::Frame& /*frame*/) override {}

  SlowParts::Tap tap;  // outlives the server, which may still hold what it feeds
  io::Loop loop{"test"};
  io::MemoryNetwork network;
  HoldingNode node;
  RequestServer server;
  std::unique_ptr<io::Transport> near;
  std::unique_ptr<io::Transport> far;
  std::deque<Outcome> outcomes;
  std::vector<Unanswered> left;
  std::vector<Unanswered> refused;
  int answered = 0;
  std::function<void()> on_answered;
  std::optional<Backend> backend;
};

}  // namespace coppice::node
