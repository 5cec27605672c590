#include "common/api/edge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/api/edge_metrics.h"
#include "common/api/errors.h"
#include "common/api/fake_call.h"
#include "common/api/health.h"
#include "common/api/methods.h"
#include "etcd/health.pb.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

struct GivenClock final : Clock {
  Time Now() const override { return now; }
  std::int64_t UnixMicros() const override { return now; }
  Time now = 1000 * kSecond;
};

class EdgeTest : public testing::Test {
 protected:
  EdgeTest() { Make({}); }

  void Make(EdgeOptions options) {
    edge_ = std::make_unique<Edge>(node_, loop_, std::move(options));
    specs_ = edge_->Methods(nullptr, health_);
  }
  rpc::CallHandler& Handler(std::string_view path) {
    for (const rpc::MethodSpec& spec : specs_) {
      if (spec.path == path) return *spec.handler;
    }
    ADD_FAILURE() << path;
    return *specs_[0].handler;
  }
  rpc::CallHandler& Range() { return Handler("/etcdserverpb.KV/Range"); }
  static std::string RangeBytes(bool serializable = false) {
    etcdserverpb::RangeRequest range;
    range.set_key("key");
    range.set_serializable(serializable);
    return range.SerializeAsString();
  }
  void Answer(std::size_t i, const Served& served = {}) {
    const std::string_view pieces[] = {"he", "llo"};
    node_.repliers_.at(i)->Ok(pieces, served);
  }
  const Request& Last() { return node_.requests_.back(); }

  void After(Micros time) {
    clock_.now += time;
    loop_.DriveWake();
    loop_.DriveTurn([] {});
  }
  // An answer of many parts of 64 KiB; `alive` says whether somebody still holds on to its source.
  void AnswerInParts(std::weak_ptr<int>& alive) {
    const auto pin = std::make_shared<int>();
    alive = pin;
    node_.repliers_[0]->Parts(1U << 30, std::make_unique<MadeParts>(
                                            [pin](std::string& out) {
                                              out.append(1U << 16, 'p');
                                              return true;
                                            },
                                            Served{}));
    node_.repliers_.clear();
  }

  GivenClock clock_;
  io::Loop loop_{"test", clock_};
  FakeCall call_;  // dies after the node, which may still hold its replier
  FakeNode node_;
  bool serving_ = true;
  Health health_{[this] { return serving_; }};
  std::unique_ptr<Edge> edge_;
  std::vector<rpc::MethodSpec> specs_;
};

TEST_F(EdgeTest, EveryRpcHasAHandler) {
  ASSERT_EQ(specs_.size(), Methods().size());
  for (const rpc::MethodSpec& spec : specs_) EXPECT_NE(spec.handler, nullptr) << spec.path;
}

TEST_F(EdgeTest, ACallBecomesARequestAndItsAnswerAResponse) {
  Range().OnMessage(call_, RangeBytes());
  EXPECT_EQ(Last().method, Method::kRange);
  EXPECT_EQ(Last().bytes, RangeBytes());
  EXPECT_EQ(Last().consistency, Consistency());
  Answer(0);
  EXPECT_THAT(call_.messages_, ElementsAre("hello"));
  EXPECT_TRUE(call_.finished_ && call_.status_.ok());
  EXPECT_TRUE(call_.trailers_.empty());
  Range().OnDone(call_);
}

TEST_F(EdgeTest, TheRequestsBytesLiveAsLongAsItsReplier) {
  for (std::size_t size : {10u, 150u, 5000u}) {
    etcdserverpb::PutRequest put;
    put.set_key("k");
    put.set_value(std::string(size, 'v'));
    std::string bytes = put.SerializeAsString();
    const std::string copy = bytes;
    std::string token = "a token";
    FakeCall call;
    call.metadata_.token = token;
    Handler("/etcdserverpb.KV/Put").OnMessage(call, bytes);
    Handler("/etcdserverpb.KV/Put").OnDone(call);  // canceled
    bytes.assign(bytes.size(), '!');
    token.assign(token.size(), '!');
    EXPECT_EQ(Last().bytes, copy);
    EXPECT_EQ(Last().token, "a token");
  }
}

TEST_F(EdgeTest, AnAnswerAfterCancellationGoesNowhere) {
  {
    FakeCall gone;
    Range().OnMessage(gone, RangeBytes());
    Range().OnDone(gone);
    EXPECT_FALSE(gone.finished_);
  }
  Answer(0);
  node_.repliers_.clear();
}

TEST_F(EdgeTest, ErrorsReachTheClient) {
  Range().OnMessage(call_, RangeBytes());
  node_.repliers_[0]->Fail(ToStatus(EtcdError::kCompacted));
  EXPECT_EQ(call_.status_, ToStatus(EtcdError::kCompacted));
  FakeCall put;
  Handler("/etcdserverpb.KV/Put").OnMessage(put, "");
  node_.repliers_[1]->FailNotProposed(ToStatus(EtcdError::kNoLeader));
  EXPECT_EQ(put.status_, ToStatus(EtcdError::kNoLeader));
}

TEST_F(EdgeTest, ARequestThatANodeDropsIsAnswered) {
  Range().OnMessage(call_, RangeBytes());
  node_.repliers_.clear();
  EXPECT_EQ(call_.status_, ToStatus(EtcdError::kStopped));
}

TEST_F(EdgeTest, WithoutADeadlineACallTimesOutAfterSevenSeconds) {
  const Time start = loop_.wake_time();
  Range().OnMessage(call_, RangeBytes());
  EXPECT_EQ(Last().deadline, start + 7 * kSecond);
  edge_->Expire(start + 7 * kSecond - 1);
  EXPECT_FALSE(call_.finished_);
  edge_->Expire(start + 7 * kSecond);
  EXPECT_EQ(call_.status_, ToStatus(EtcdError::kTimeout));
  Range().OnDone(call_);
  Answer(0);
  EXPECT_TRUE(call_.messages_.empty());
}

TEST_F(EdgeTest, AClientsOwnDeadlineIsNotOurs) {
  call_.deadline_ = loop_.wake_time() + 30 * kSecond;
  Range().OnMessage(call_, RangeBytes());
  EXPECT_EQ(Last().deadline, call_.deadline_);
  edge_->Expire(loop_.wake_time() + 20 * kSecond);
  EXPECT_FALSE(call_.finished_);
}

TEST_F(EdgeTest, TrailersSayWhatServedThoseWhoAsked) {
  call_.metadata_.consistency = "serializable";
  call_.metadata_.any_coppice = true;
  Range().OnMessage(call_, RangeBytes());
  EXPECT_EQ(Last().consistency.mode, ReadMode::kSerializable);
  Answer(0, {.by = NodeId(0xabc), .mode = ReadMode::kSerializable, .staleness = 12'000});
  EXPECT_THAT(call_.trailers_, ElementsAre(Pair("coppice-served-by", "abc"),
                                           Pair("coppice-served-consistency", "serializable"),
                                           Pair("coppice-staleness", "12ms")));
}

TEST_F(EdgeTest, AWritesTrailersOnlySayWho) {
  call_.metadata_.min_revision = "5";
  call_.metadata_.any_coppice = true;
  Handler("/etcdserverpb.KV/Put").OnMessage(call_, "");
  EXPECT_EQ(Last().consistency.min_revision, 5);
  Answer(0, {.by = NodeId(1)});
  EXPECT_THAT(call_.trailers_, ElementsAre(Pair("coppice-served-by", "1")));
}

TEST_F(EdgeTest, FlagListenerAndMetadataChooseTheConsistency) {
  EdgeOptions options;
  options.listener_defaults.resize(2);
  options.listener_defaults[1].mode = ReadMode::kBounded;
  options.listener_defaults[1].max_staleness = kSecond;
  Make(options);
  const auto mode_of = [this](std::string_view path, std::string_view bytes, int listener) {
    FakeCall call;
    call.listener_ = listener;
    Handler(path).OnMessage(call, bytes);
    Handler(path).OnDone(call);
    return Last().consistency.mode;
  };
  const char* const range = "/etcdserverpb.KV/Range";
  const char* const list = "/etcdserverpb.Cluster/MemberList";
  EXPECT_EQ(mode_of(range, RangeBytes(), 0), ReadMode::kLinearizable);
  EXPECT_EQ(mode_of(range, RangeBytes(true), 0), ReadMode::kSerializable);
  EXPECT_EQ(mode_of(range, RangeBytes(true), 1), ReadMode::kSerializable);
  EXPECT_EQ(mode_of(range, RangeBytes(), 1), ReadMode::kBounded);
  EXPECT_EQ(mode_of(range, RangeBytes(), 2), ReadMode::kLinearizable);
  EXPECT_EQ(mode_of(list, "", 0), ReadMode::kSerializable);
  EXPECT_EQ(mode_of(list, "\x08\x01", 0), ReadMode::kLinearizable);
}

TEST_F(EdgeTest, BadMetadataAndBadBytesNeverReachTheNode) {
  call_.metadata_.consistency = "strong";
  call_.metadata_.any_coppice = true;
  Range().OnMessage(call_, RangeBytes());
  EXPECT_EQ(call_.status_.code(), StatusCode::kInvalidArgument);
  FakeCall bad;
  Range().OnMessage(bad, "\x0a\x7f");
  EXPECT_EQ(bad.status_.code(), StatusCode::kInternal);
  FakeCall large;
  Handler("/etcdserverpb.KV/Put").OnMessage(large, std::string((3U << 19) + 1, 'x'));
  EXPECT_EQ(large.status_, ToStatus(EtcdError::kRequestTooLarge));
  EXPECT_TRUE(node_.requests_.empty());
}

TEST_F(EdgeTest, UnbuiltRpcsSayWhichTheyAre) {
  for (const MethodInfo& info : Methods()) {
    if (info.built) continue;
    FakeCall call;
    if (info.server_streams) {
      Handler(info.path).OnStart(call);
    } else {
      Handler(info.path).OnMessage(call, "");
    }
    EXPECT_EQ(call.status_, NotImplemented(info.path));
  }
  EXPECT_TRUE(node_.requests_.empty());
}

TEST_F(EdgeTest, AnAnswerInPartsIsPacedByTheClient) {
  Range().OnMessage(call_, RangeBytes());
  const std::string part(64U << 10, 'p');
  int left = 10;
  node_.repliers_[0]->Parts(10 * part.size(), std::make_unique<MadeParts>(
                                                  [&](std::string& out) {
                                                    out.append(part);
                                                    return --left > 0;
                                                  },
                                                  Served{}));
  node_.repliers_.clear();
  EXPECT_EQ(call_.announced_, 10 * part.size());
  EXPECT_EQ(left, 6);  // stopped at the high water mark
  call_.unsent_ = 0;
  Range().OnDrained(call_);
  EXPECT_EQ(left, 2);
  EXPECT_FALSE(call_.finished_);
  call_.unsent_ = 0;
  Range().OnDrained(call_);
  EXPECT_TRUE(call_.finished_ && call_.status_.ok());
  EXPECT_EQ(call_.messages_[0].size(), 10 * part.size());
  Range().OnDrained(call_);
  Range().OnDone(call_);
}

TEST_F(EdgeTest, AClientThatReadsNothingForAMinuteLosesTheRestOfItsAnswer) {
  Range().OnMessage(call_, RangeBytes());
  std::weak_ptr<int> pin;
  AnswerInParts(pin);
  After(59 * kSecond);
  call_.unsent_ -= 1;
  After(2 * kSecond);
  EXPECT_FALSE(call_.finished_) << "it is slow, but reads";
  const std::size_t full = call_.unsent_;
  call_.unsent_ = 1;
  Range().OnDrained(call_);
  call_.unsent_ = full;
  After(60 * kSecond);
  EXPECT_FALSE(call_.finished_) << "what is unsent now is not what was unsent before";
  EXPECT_FALSE(pin.expired());
  After(61 * kSecond);
  EXPECT_EQ(call_.status_.code(), StatusCode::kUnavailable);
  EXPECT_TRUE(pin.expired());
  Range().OnDrained(call_);
  Range().OnDone(call_);
}

TEST_F(EdgeTest, AClientMayLeaveInTheMiddleOfParts) {
  Range().OnMessage(call_, RangeBytes());
  node_.repliers_[0]->Parts(1U << 30, std::make_unique<MadeParts>(
                                          [](std::string& out) {
                                            out.append(1U << 16, 'p');
                                            return true;
                                          },
                                          Served{}));
  Range().OnDone(call_);
  EXPECT_EQ(call_.context, nullptr);
}

TEST_F(EdgeTest, RepliersMayOutliveTheEdge) {
  FakeCall call;
  Range().OnMessage(call, RangeBytes());
  Range().OnDone(call);
  edge_.reset();
  node_.repliers_.clear();
}

TEST_F(EdgeTest, AnswersAreCounted) {
  metrics::Registry registry;
  EdgeMetrics counts(registry);
  EdgeOptions options;
  options.observer = &counts;
  Make(options);
  Range().OnMessage(call_, RangeBytes());
  Answer(0, {.by = NodeId(1), .mode = ReadMode::kBounded, .staleness = 3});
  FakeCall bad;
  Range().OnMessage(bad, "\x0a\x7f");
  const std::string text = registry.Render();
  EXPECT_EQ(counts.requests(), 2u);
  EXPECT_THAT(text, HasSubstr("coppice_requests_total{method=\"Range\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("coppice_request_errors_total{method=\"Range\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("coppice_read_staleness_seconds_count{consistency=\"bounded\"} 1\n"));
}

std::string HealthRequest(const std::string& service) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  return request.SerializeAsString();
}
int HealthAnswer(const std::string& bytes) {
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  return response.status();
}

TEST_F(EdgeTest, HealthChecksAskEachTime) {
  for (bool serving : {true, false}) {
    serving_ = serving;
    for (const char* service : {"", "etcdserverpb.KV"}) {
      FakeCall call;
      Handler("/grpc.health.v1.Health/Check").OnMessage(call, HealthRequest(service));
      EXPECT_EQ(HealthAnswer(call.messages_.at(0)),
                serving ? grpc::health::v1::HealthCheckResponse::SERVING
                        : grpc::health::v1::HealthCheckResponse::NOT_SERVING);
    }
  }
  FakeCall unknown;
  Handler("/grpc.health.v1.Health/Check").OnMessage(unknown, HealthRequest("nobody"));
  EXPECT_EQ(unknown.status_.code(), StatusCode::kNotFound);
}

TEST_F(EdgeTest, HealthWatchersHearOfChangesOnly) {
  rpc::CallHandler& watch = Handler("/grpc.health.v1.Health/Watch");
  watch.OnStart(call_);
  watch.OnMessage(call_, HealthRequest(""));
  health_.Update();
  ASSERT_EQ(call_.messages_.size(), 1u);
  serving_ = false;
  health_.Update();
  health_.Update();
  ASSERT_EQ(call_.messages_.size(), 2u);
  EXPECT_EQ(HealthAnswer(call_.messages_[1]), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  watch.OnDone(call_);
  serving_ = true;
  health_.Update();
  EXPECT_EQ(call_.messages_.size(), 2u);
}

}  // namespace
}  // namespace coppice::api
