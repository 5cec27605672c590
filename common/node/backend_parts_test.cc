#include <gtest/gtest.h>

#include "common/base/coding.h"
#include "common/node/backend_fixture.h"

namespace coppice::node {
namespace {

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
  tap.now = "too late";
  AnswerInParts(1000, tap);
  EXPECT_FALSE(tap.alive);
  EXPECT_EQ(outcome.answers, 1);
}

TEST_F(BackendTest, ALossInTheMiddleIsToldAndNotGivenBack) {
  Connect();
  Outcome& outcome = Ask("question");
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
  std::string strange;
  io::PutReplyTail(strange, {.mode = 3});
  std::string negative;
  io::PutReplyTail(negative, {.compact_revision = -1});
  const std::string success("\0\0fine", 6);
  const std::vector<MalformedReply> cases = {
      {"no tail", {{0, "short"}}},
      {"a consistency that there is not", {{0, strange}}},
      {"a compaction that cannot be", {{0, negative}}},
      {"a consistency that there is not, in the last part",
       {{io::kFlagMore | io::kFlagTotal, Total(4, "012")}, {0, "3" + strange}}},
      {"an error without a code", {{io::kFlagError, "x"}}},
      {"an error with the code of success", {{io::kFlagError, success}}},
      {"an error with the code of success, behind a part",
       {{io::kFlagMore | io::kFlagTotal, Total(4, "012")}, {io::kFlagError, success}}},
      {"an error with a code that there is not", {{io::kFlagError, std::string("\x11\0", 2)}}},
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
