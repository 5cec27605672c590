#include "common/node/backend.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "common/base/coding.h"
#include "common/io/envelope.h"
#include "common/io/memory_transport.h"
#include "common/node/request_server.h"

namespace coppice::node {
namespace {

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
  api::Served served() const override { return {NodeId(9), ReadMode::kBounded, kMillisecond}; }
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
    asked.replier->Ok({&body, 1}, {NodeId(9), ReadMode::kBounded, 3 * kMillisecond});
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

TEST_F(BackendTest, RequestAndAnswerTravelWithAllThatBelongsToThem) {
  Connect();
  Outcome& outcome = Ask("question");
  ASSERT_EQ(node.asked.size(), 1U);
  EXPECT_EQ(node.asked[0].bytes, "question");
  EXPECT_EQ(node.asked[0].token, "who asks");
  EXPECT_EQ(node.asked[0].request.hops, 1);
  // The views stay good for as long as the node holds the replier.
  EXPECT_EQ(node.asked[0].request.bytes, "question");
  EXPECT_EQ(node.asked[0].request.token, "who asks");
  Answer("reply");
  EXPECT_EQ(outcome.body, "reply");
  EXPECT_EQ(outcome.served.by, NodeId(9));
  EXPECT_EQ(outcome.served.mode, ReadMode::kBounded);
  EXPECT_EQ(outcome.served.staleness, 3 * kMillisecond);
  EXPECT_EQ(answered, 1);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, AnErrorKeepsItsCodeAndWhetherItWasProposed) {
  Connect();
  Outcome& failed = Ask("a");
  Outcome& not_proposed = Ask("b");
  node.asked[0].replier->Fail(MakeStatus(StatusCode::kOutOfRange, "compacted"));
  node.asked[1].replier->FailNotProposed(MakeStatus(StatusCode::kInvalidArgument, "no key"));
  network.DeliverAll();
  EXPECT_EQ(failed.status, MakeStatus(StatusCode::kOutOfRange, "compacted"));
  EXPECT_FALSE(failed.not_proposed);
  EXPECT_EQ(not_proposed.status, MakeStatus(StatusCode::kInvalidArgument, "no key"));
  EXPECT_TRUE(not_proposed.not_proposed);
  EXPECT_TRUE(refused.empty());
}

TEST_F(BackendTest, WhatWasNotProposedComesBackWhole) {
  Connect();
  Outcome& outcome = Ask("write");
  node.asked[0].replier->FailNotProposed(MakeStatus(StatusCode::kUnavailable, "not the leader"));
  network.DeliverAll();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].certainly_not_done);
  EXPECT_EQ(refused[0].Renew().bytes, "write");
  EXPECT_EQ(refused[0].Renew().token, "who asks");
  EXPECT_EQ(outcome.answers, 0);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, AnObserverMaySendWhenItHearsOfAnAnswer) {
  Connect();
  Outcome& ok = Ask("a");
  Outcome& failed = Ask("b");
  Ask("c");
  on_answered = [this] {
    api::Request request;
    request.method = api::Method::kRange;
    for (int i = 0; i < 100; ++i) {  // the slab grows
      backend->Send(request, std::make_unique<NotingReplier>(outcomes.emplace_back()));
    }
  };
  Answer("yes");
  node.asked[0].replier->Fail(MakeStatus(StatusCode::kOutOfRange, "compacted"));
  node.asked[1].replier->FailNotProposed(MakeStatus(StatusCode::kUnavailable, "not the leader"));
  network.DeliverAll();
  EXPECT_EQ(ok.body, "yes");
  EXPECT_EQ(failed.status.code(), StatusCode::kOutOfRange);
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].bytes, "c");
  EXPECT_EQ(backend->outstanding(), 300U);
}

TEST_F(BackendTest, ALossGivesBackWhatIsUnansweredAndTheNextConnectionStartsClean) {
  Connect();
  Outcome& outcome = Ask("first");
  server.CloseAll(MakeStatus(StatusCode::kUnavailable, "cut"));
  network.DeliverAll();
  EXPECT_FALSE(backend->up());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].Renew().bytes, "first");
  EXPECT_FALSE(left[0].certainly_not_done);
  EXPECT_EQ(outcome.answers, 0);
  Reconnect();
  Outcome& second = Ask("second");
  Answer("late");  // to "first", whose connection is gone
  EXPECT_EQ(second.answers, 0);
  Answer("in time");
  EXPECT_EQ(second.body, "in time");
}

TEST_F(BackendTest, WithdrawTakesWhatIsAskedForAndDropsItsAnswer) {
  Connect();
  Outcome& kept = Ask("kept");
  Outcome& taken = Ask("taken");
  int seen = 0;
  const auto out = backend->Withdraw([&](const api::Replier&) { return ++seen == 2; });
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, "taken");
  Answer("a");
  Answer("b");
  EXPECT_EQ(kept.body, "a");
  EXPECT_EQ(taken.answers, 0);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, WhatIsPastItsDeadlineTimesOut) {
  Connect();
  const Time now = loop.now();
  Outcome& late = Ask("late", now + kSecond);
  Outcome& later = Ask("later", now + 2 * kSecond);
  backend->Expire(now + kSecond);
  EXPECT_EQ(late.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(later.answers, 0);
  Answer("dropped");
  Answer("taken");
  EXPECT_EQ(late.answers, 1);
  EXPECT_EQ(later.body, "taken");
}

TEST_F(BackendTest, ItsEndFailsWhatIsOutstanding) {
  Connect();
  Outcome& outcome = Ask("question");
  backend.reset();
  EXPECT_EQ(outcome.status.code(), StatusCode::kUnavailable);
}

TEST_F(BackendTest, ALargeAnswerMadeWholeArrivesWhole) {
  Connect();
  Outcome& outcome = Ask("question");
  std::string body;
  for (int i = 0; body.size() < 3'000'000; ++i) body += std::to_string(i);
  Answer(body);
  EXPECT_EQ(outcome.total, body.size());
  while (outcome.Drain() != Next::kEnd) network.DeliverAll();
  EXPECT_EQ(outcome.body, body);
  EXPECT_EQ(outcome.source->served().by, NodeId(9));
  EXPECT_EQ(outcome.source->served().staleness, 3 * kMillisecond);
  EXPECT_EQ(server.outstanding(), 0U);
}

TEST_F(BackendTest, PartsPassAsTheyComeAndAreMadeAsTheyAreTaken) {
  Connect();
  Outcome& outcome = Ask("question");
  SlowParts::Tap tap;
  tap.now = "one ";
  AnswerInParts(13, tap);
  EXPECT_EQ(outcome.total, 13U);
  EXPECT_EQ(outcome.Drain(), Next::kWait);
  EXPECT_EQ(outcome.body, "one ");
  Pour(tap, "two ");
  EXPECT_EQ(outcome.ready, 1);
  EXPECT_EQ(outcome.Drain(), Next::kWait);
  EXPECT_EQ(server.outstanding(), 1U);
  Pour(tap, "three", true);
  EXPECT_EQ(outcome.Drain(), Next::kEnd);
  EXPECT_EQ(outcome.body, "one two three");
  EXPECT_EQ(outcome.source->served().by, NodeId(9));
  EXPECT_FALSE(tap.alive);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, NobodyMakesMoreThanTheCreditOfWhatIsNotTaken) {
  Connect();
  Outcome& outcome = Ask("question");
  std::size_t made = 0;
  constexpr std::size_t kTotal = 8U << 20;
  auto next = [&made](std::string& out) {
    out.append(64U << 10, 'x');
    return (made += 64U << 10) < kTotal;
  };
  node.asked[0].replier->Parts(kTotal, std::make_unique<api::MadeParts>(next, api::Served{}));
  network.DeliverAll();
  constexpr std::size_t kBound = io::kStreamCreditBytes + (64U << 10);
  EXPECT_LE(made, kBound);
  for (Next taken = Next::kWait; taken != Next::kEnd;) {
    taken = outcome.Drain();
    network.DeliverAll();
    ASSERT_LE(made, outcome.body.size() + kBound);
  }
  EXPECT_EQ(outcome.body.size(), kTotal);
}

TEST_F(BackendTest, WhoeverLeavesInTheMiddleEndsTheSource) {
  Connect();
  Outcome& outcome = Ask("question");
  SlowParts::Tap tap;
  tap.now = "begun";
  AnswerInParts(1000, tap);
  outcome.source.reset();
  network.DeliverAll();
  EXPECT_FALSE(tap.alive);
  EXPECT_EQ(backend->outstanding(), 0U);
  EXPECT_EQ(server.outstanding(), 0U);
}

TEST_F(BackendTest, PartsOfARequestThatTimedOutEndTheirSource) {
  Connect();
  Outcome& outcome = Ask("question", loop.now() + kSecond);
  backend->Expire(loop.now() + kSecond);
  network.DeliverAll();
  SlowParts::Tap tap;
  tap.now = "too late";
  AnswerInParts(1000, tap);
  EXPECT_FALSE(tap.alive);
  EXPECT_EQ(outcome.answers, 1);
}

TEST_F(BackendTest, ALossInTheMiddleIsToldAndNotGivenBack) {
  Connect();
  Outcome& outcome = Ask("question");
  SlowParts::Tap tap;
  tap.now = "begun";
  AnswerInParts(1000, tap);
  server.CloseAll(MakeStatus(StatusCode::kUnavailable, "cut"));
  network.DeliverAll();
  EXPECT_TRUE(left.empty());
  EXPECT_EQ(outcome.ready, 1);
  EXPECT_EQ(outcome.Drain(), Next::kLost);
  EXPECT_EQ(outcome.source->status().code(), StatusCode::kUnavailable);
}

TEST_F(BackendTest, ASourceThatIsLostSaysSoAtTheOtherEnd) {
  Connect();
  Outcome& outcome = Ask("question");
  SlowParts::Tap tap;
  tap.now = "begun";
  AnswerInParts(1000, tap);
  tap.lost = MakeStatus(StatusCode::kOutOfRange, "compacted meanwhile");
  tap.ready();
  network.DeliverAll();
  EXPECT_EQ(outcome.Drain(), Next::kLost);
  EXPECT_EQ(outcome.source->status(), tap.lost);
  EXPECT_EQ(backend->outstanding(), 0U);
}

TEST_F(BackendTest, AnAnswerThatStopsComingIsGivenUp) {
  Connect();
  Outcome& outcome = Ask("question");
  SlowParts::Tap tap;
  tap.now = "begun";
  AnswerInParts(1000, tap);
  backend->Expire(loop.now() + 60 * kSecond);  // arrived, and not taken: the client's pace
  EXPECT_EQ(outcome.Drain(), Next::kWait);
  backend->Expire(loop.now() + kSecond);
  EXPECT_EQ(outcome.Drain(), Next::kWait);
  backend->Expire(loop.now() + 8 * kSecond);
  EXPECT_EQ(outcome.Drain(), Next::kLost);
  network.DeliverAll();
  EXPECT_FALSE(tap.alive);
}

TEST_F(BackendTest, ItsEndIsTheEndOfWhatArrives) {
  Connect();
  Outcome& outcome = Ask("question");
  SlowParts::Tap tap;
  tap.now = "begun";
  AnswerInParts(1000, tap);
  backend.reset();
  EXPECT_EQ(outcome.Drain(), Next::kLost);
}

// A far end that says what the test wants.
struct Scripted final : io::ConnectionHandler {
  void OnOpen(io::Connection& opened) override { connection = &opened; }
  void OnFrame(io::Connection& /*from*/, const io::Frame& frame) override {
    if (frame.type == io::FrameType::kRequest) stream = frame.stream;
  }
  void OnClosed(io::Connection& /*closed*/, const Status& /*reason*/) override {
    connection = nullptr;
  }
  void Reply(std::uint8_t flags, std::string_view payload) const {
    io::Frame frame;
    frame.type = io::FrameType::kReply;
    frame.flags = flags;
    frame.stream = stream;
    frame.payload = payload;
    connection->Send(frame);
  }
  io::Connection* connection = nullptr;
  io::StreamId stream;
};

std::string Total(std::uint64_t total, std::string_view bytes) {
  std::string payload;
  PutLe(payload, total);
  payload.append(bytes);
  return payload;
}

struct MalformedReply {
  const char* name;
  std::vector<std::pair<std::uint8_t, std::string>> frames;
};

TEST_F(BackendTest, MalformedRepliesEndTheConnectionAndNothingElse) {
  const std::string tail(io::kReplyTailSize, '\0');
  const std::vector<MalformedReply> cases = {
      {"no tail", {{0, "short"}}},
      {"an error without a code", {{io::kFlagError, "x"}}},
      {"a first part without its total", {{io::kFlagMore, "0123456789"}}},
      {"a total that is cut", {{io::kFlagMore | io::kFlagTotal, "0123"}}},
      {"a total that is cut, in one frame", {{io::kFlagTotal, "0123"}}},
      {"longer than announced",
       {{io::kFlagMore | io::kFlagTotal, Total(4, "012")}, {io::kFlagMore, "34"}}},
      {"shorter than announced", {{io::kFlagMore | io::kFlagTotal, Total(4, "012")}, {0, tail}}},
      {"a last part without its tail",
       {{io::kFlagMore | io::kFlagTotal, Total(4, "012")}, {0, "3"}}},
      {"more than the credit",
       {{io::kFlagMore | io::kFlagTotal, Total(1U << 30, std::string(200'000, 'x'))},
        {io::kFlagMore, std::string(200'000, 'x')}}},
  };
  for (const MalformedReply& each : cases) {
    Scripted script;
    ListenWith(script);
    Connect();
    Outcome& outcome = Ask("question");
    for (const auto& [flags, payload] : each.frames) script.Reply(flags, payload);
    network.DeliverAll();
    EXPECT_FALSE(backend->up()) << each.name;
    if (outcome.source != nullptr) {
      EXPECT_EQ(outcome.Drain(), Next::kLost) << each.name;
    } else {
      EXPECT_EQ(left.size(), 1U) << each.name;
    }
    left.clear();
    backend.reset();
    network.DeliverAll();
  }
}

TEST_F(BackendTest, AnHonestlyHugeTotalReservesNothing) {
  Scripted script;
  ListenWith(script);
  Connect();
  Outcome& outcome = Ask("question");
  script.Reply(io::kFlagMore | io::kFlagTotal, Total(UINT64_MAX, "begun"));
  network.DeliverAll();
  EXPECT_EQ(outcome.total, UINT64_MAX);
  EXPECT_EQ(outcome.Drain(), Next::kWait);
  EXPECT_EQ(outcome.body, "begun");
  backend.reset();
  network.DeliverAll();
}

}  // namespace
}  // namespace coppice::node
