#include "common/api/watch_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "common/api/fake_watch_source.h"
#include "common/base/coding.h"

namespace coppice::api {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct Response {
  Revision header = 0;
  std::int64_t id = 0;
  bool created = false;
  bool canceled = false;
  Revision compact = 0;
  std::string reason{};
  bool fragment = false;
  int events = 0;
  bool operator==(const Response&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Response& r) {
    return out << "{header " << r.header << " id " << r.id << (r.created ? " created" : "")
               << (r.canceled ? " canceled" : "") << " compact " << r.compact << " '" << r.reason
               << "'" << (r.fragment ? " fragment" : "") << " events " << r.events << "}";
  }
};

std::uint64_t IntAt(std::string_view message, std::uint32_t wanted) {
  WireReader in(message);
  std::uint32_t field = 0;
  WireType type{};
  while (!in.done() && in.Tag(field, type)) {
    std::uint64_t value = 0;
    if (field == wanted && in.Varint(value)) return value;
    in.Skip(type);
  }
  return 0;
}

Response Decode(std::string_view message) {
  Response out;
  WireReader in(message);
  std::uint32_t field = 0;
  WireType type{};
  while (!in.done()) {
    std::uint64_t value = 0;
    std::string_view bytes;
    EXPECT_TRUE(in.Tag(field, type));
    EXPECT_TRUE(type == WireType::kVarint ? in.Varint(value) : in.Bytes(bytes));
    if (field == 1) {
      out.header = static_cast<Revision>(IntAt(bytes, 3));
      EXPECT_EQ(IntAt(bytes, 1), 7U);
      EXPECT_EQ(IntAt(bytes, 2), 8U);
      EXPECT_EQ(IntAt(bytes, 4), 9U);
    }
    if (field == 2) out.id = static_cast<std::int64_t>(value);
    if (field == 3) out.created = value != 0;
    if (field == 4) out.canceled = value != 0;
    if (field == 5) out.compact = static_cast<Revision>(value);
    if (field == 6) out.reason = bytes;
    if (field == 7) out.fragment = value != 0;
    if (field == 11) ++out.events;
  }
  return out;
}

struct FakeOut final : WatchOut {
  void Write(std::span<const std::string_view> pieces) override {
    std::string message;
    for (const std::string_view piece : pieces) message.append(piece);
    sizes.push_back(message.size());
    responses.push_back(Decode(message));
    EXPECT_GE(responses.back().header, last_header) << "headers never go back";
    last_header = responses.back().header;
  }
  std::size_t unsent_bytes() const override { return unsent; }
  void WantPoll() override { want_poll = true; }
  std::vector<Response> Take() { return std::exchange(responses, {}); }

  std::vector<Response> responses;
  std::vector<std::size_t> sizes;
  std::size_t unsent = 0;
  Revision last_header = 0;
  bool want_poll = false;
};

class WatchSessionTest : public testing::Test {
 protected:
  WatchSessionTest() { header_.SetTerm(9); }

  void Start(const WatchSessionOptions& options = {}) {
    session_ = std::make_unique<WatchSession>(options, source_, header_, out_, 0);
  }
  // Sends, and admits at once.
  void Send(const std::string& message) {
    session_->OnMessage(now_, message);
    for (const auto& admission : session_->TakeAdmissions()) {
      session_->OnAdmitted(now_, admission.ticket, OkStatus(), 0);
    }
  }
  void Create(const CreateFields& fields) { Send(CreateMessage(fields)); }

  FakeSource source_;
  WatchHeader header_{7, 8};
  FakeOut out_;
  std::unique_ptr<WatchSession> session_;
  Time now_ = 0;
};

TEST_F(WatchSessionTest, CreatedTellsTheRevisionBeforeItsStart) {
  Start();
  Create({});
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 10, .id = 0, .created = true}));
  source_.Emit(0, 11, {"e"});
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 11, .id = 0, .events = 1}));
}

TEST_F(WatchSessionTest, IdsAreCountedUpOrChosenAndNeverTwice) {
  Start();
  Create({});
  Create({.id = 1});
  Create({});
  Create({.id = 1});
  EXPECT_THAT(out_.Take(),
              ElementsAre(Response{.header = 10, .id = 0, .created = true},
                          Response{.header = 10, .id = 1, .created = true},
                          Response{.header = 10, .id = 2, .created = true},
                          Response{.header = 10,
                                   .id = -1,
                                   .created = true,
                                   .canceled = true,
                                   .reason = "mvcc: duplicate watch ID provided on the "
                                             "WatchStream"}));
}

TEST_F(WatchSessionTest, RefusedCreatesAreCreatedAndCanceledWithIdMinusOne) {
  Start();
  Create({.key = "b", .range_end = "a"});
  Create({.start = -1});
  session_->OnMessage(0, CreateMessage({}));
  session_->OnAdmitted(0, session_->TakeAdmissions()[0].ticket,
                       MakeStatus(StatusCode::kPermissionDenied, "etcdserver: permission denied"),
                       0);
  const auto refused = [](std::string reason) {
    return Response{
        .header = 10, .id = -1, .created = true, .canceled = true, .reason = std::move(reason)};
  };
  EXPECT_THAT(out_.Take(),
              ElementsAre(refused("mvcc: watcher range is empty"),
                          refused("etcdserver: mvcc: required revision has been compacted"),
                          refused("etcdserver: permission denied")));
  EXPECT_FALSE(session_->finish().has_value());
}

TEST_F(WatchSessionTest, TemporaryRefusalEndsTheStreamSoThatClientsRetry) {
  Start();
  session_->OnMessage(0, CreateMessage({}));
  session_->OnAdmitted(0, session_->TakeAdmissions()[0].ticket,
                       MakeStatus(StatusCode::kUnavailable, "etcdserver: no leader"), 0);
  ASSERT_TRUE(session_->finish().has_value());
  EXPECT_EQ(MessageOf(*session_->finish()), "etcdserver: no leader");
}

TEST_F(WatchSessionTest, MalformedRequestEndsTheStreamAndAnUnknownOneDoesNot) {
  Start();
  Send("");
  Send(std::string("\x22\x00", 2));
  EXPECT_FALSE(session_->finish().has_value());
  Send("\x0a\x05x");
  EXPECT_TRUE(session_->finish().has_value());
}

TEST_F(WatchSessionTest, SpecCarriesWhatTheRequestAskedFor) {
  Start({.min_revision = 5});
  Create({.key = "",
          .range_end = std::string(1, '\0'),
          .start = 3,
          .prev_kv = true,
          .filters = {0, 1}});
  const mvcc::WatchSpec& spec = source_.ById(0).spec;
  EXPECT_TRUE(spec.range.unbounded);
  EXPECT_EQ(spec.range.begin, std::string(1, '\0'));
  EXPECT_TRUE(spec.prev_kv);
  EXPECT_TRUE(spec.filters.no_put);
  EXPECT_TRUE(spec.filters.no_delete);
  EXPECT_EQ(spec.start, 3);
  EXPECT_EQ(spec.min_revision, 5);
}

TEST_F(WatchSessionTest, CreatedComeInTheOrderOfRequests) {
  Start();
  session_->OnMessage(0, CreateMessage({.id = 5}));
  session_->OnMessage(0, CreateMessage({.id = 6}));
  session_->OnMessage(0, CancelMessage(5));
  const auto admissions = session_->TakeAdmissions();
  ASSERT_THAT(admissions, SizeIs(2));
  session_->OnAdmitted(0, admissions[1].ticket, OkStatus(), 12);
  EXPECT_THAT(out_.Take(), IsEmpty());
  session_->OnAdmitted(0, admissions[0].ticket, OkStatus(), 0);
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 10, .id = 5, .created = true}));
  source_.revision_ = 12;
  session_->Poll(0);
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 12, .id = 6, .created = true},
                                       Response{.header = 12, .id = 5, .canceled = true}));
}

TEST_F(WatchSessionTest, CancelAnswersOnceAndFreesTheId) {
  Start();
  Create({.id = 4});
  Send(CancelMessage(4));
  Send(CancelMessage(4));
  Create({.id = 4});
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 10, .id = 4, .created = true},
                                       Response{.header = 10, .id = 4, .canceled = true},
                                       Response{.header = 10, .id = 4, .created = true}));
}

TEST_F(WatchSessionTest, CompactionCancelsWithItsRevision) {
  Start();
  Create({});
  out_.Take();
  source_.Cancel(0, 9, "gone");
  EXPECT_THAT(out_.Take(),
              ElementsAre(Response{
                  .header = 10, .id = 0, .canceled = true, .compact = 9, .reason = "gone"}));
  EXPECT_EQ(session_->watchers(), 0U);
}

TEST_F(WatchSessionTest, HeadersNeverGoBack) {
  Start();
  Create({});
  Create({.start = 2});
  source_.Emit(0, 15, {"e"});
  out_.Take();
  source_.Emit(1, 3, {"e"});
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 15, .id = 1, .events = 1}));
  Create({});  // the source is at 10
  EXPECT_THAT(out_.Take(), IsEmpty()) << "created with start 0 waits for 15";
  source_.revision_ = 16;
  session_->Poll(0);
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 16, .id = 2, .created = true}));
}

TEST_F(WatchSessionTest, StreamProgressWaitsForTheSlowestWatcher) {
  Start();
  Send(kProgressMessage);
  session_->Poll(0);
  EXPECT_THAT(out_.Take(), IsEmpty()) << "as etcd: nobody to speak for";
  Create({});
  Create({});
  out_.Take();
  source_.ById(0).complete = 12;
  source_.ById(1).complete = 0;
  Send(kProgressMessage);
  session_->Poll(0);
  EXPECT_THAT(out_.Take(), IsEmpty());
  source_.Emit(0, 12, {"e"});
  out_.Take();
  source_.ById(1).complete = 11;
  session_->Poll(0);
  EXPECT_THAT(out_.Take(), IsEmpty()) << "the stream has seen 12 already";
  source_.ById(1).complete = 13;
  EXPECT_TRUE(out_.want_poll);
  session_->Poll(0);
  session_->Poll(0);
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 12, .id = -1}));
}

TEST_F(WatchSessionTest, ProgressNotifyIsSkippedOnceAfterEvents) {
  Start({.progress_interval = 1000});
  EXPECT_EQ(session_->NextDeadline(), kNever);
  Create({.notify = true});
  Create({});
  out_.Take();
  source_.Emit(0, 11, {"e"});
  out_.Take();
  source_.revision_ = 11;
  now_ = session_->NextDeadline();
  EXPECT_GE(now_, 1000);
  EXPECT_LE(now_, 1100);
  session_->Poll(now_ - 1);
  session_->Poll(now_);
  EXPECT_THAT(out_.Take(), IsEmpty());
  now_ = session_->NextDeadline();
  session_->Poll(now_);
  session_->Poll(now_);
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 11, .id = 0}));
}

TEST_F(WatchSessionTest, FragmentSplitsAtEventsAndOnlyIfAsked) {
  Start({.response_bytes_max = 100});
  Create({.fragment = true});
  Create({});
  out_.Take();
  out_.sizes.clear();
  const std::string event(30, 'e');
  source_.Emit(0, 11, {event, event, event, event, event});
  EXPECT_THAT(out_.Take(),
              ElementsAre(Response{.header = 11, .id = 0, .fragment = true, .events = 2},
                          Response{.header = 11, .id = 0, .fragment = true, .events = 2},
                          Response{.header = 11, .id = 0, .events = 1}));
  for (const std::size_t size : out_.sizes) EXPECT_LT(size, 100U);
  source_.Emit(0, 12, {std::string(300, 'e'), event});
  EXPECT_THAT(out_.Take(),
              ElementsAre(Response{.header = 12, .id = 0, .fragment = true, .events = 1},
                          Response{.header = 12, .id = 0, .events = 1}));
  source_.Emit(1, 13, {event, event, event, event, event});
  EXPECT_THAT(out_.Take(), ElementsAre(Response{.header = 13, .id = 1, .events = 5}));
}

TEST_F(WatchSessionTest, UnsentBytesStopTheSourceUntilDrained) {
  Start({.unsent_bytes_max = 50});
  Create({});
  mvcc::WatchSink& sink = *source_.ById(0).watcher->sink;
  EXPECT_TRUE(sink.writable);
  out_.unsent = 50;
  source_.Emit(0, 11, {"e"});
  EXPECT_FALSE(sink.writable);
  session_->OnDrained(5);
  EXPECT_TRUE(sink.writable);
  EXPECT_EQ(source_.drained, 1);
}

TEST_F(WatchSessionTest, AClientThatAsksAndDoesNotReadIsEnded) {
  Start({.unsent_bytes_max = 50, .answers_unread_max = 2});
  Create({});
  out_.unsent = 50;
  source_.Emit(0, 11, {"e"});
  for (int i = 0; i < 2; ++i) Create({.key = "b", .range_end = "a"});
  EXPECT_FALSE(session_->finish().has_value());
  session_->OnDrained(5);
  source_.Emit(0, 12, {"e"});
  for (int i = 0; i < 3; ++i) Create({.key = "b", .range_end = "a"});
  ASSERT_TRUE(session_->finish().has_value());
  EXPECT_EQ(session_->finish()->code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace coppice::api
