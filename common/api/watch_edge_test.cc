#include "common/api/watch_edge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "common/api/errors.h"
#include "common/api/fake_call.h"
#include "common/api/fake_watch_source.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class FakeAdmitter final : public WatchAdmitter {
 public:
  void Admit(const mvcc::KeyRange& range, const Consistency& consistency, std::string_view token,
             Done done) override {
    last_range = range;
    last_consistency = consistency;
    last_token = token;
    if (hold) {
      held.push_back(std::move(done));
    } else {
      done(status, revision);
    }
  }
  bool HasLeader() const override { return has_leader; }

  mvcc::KeyRange last_range;
  Consistency last_consistency;
  std::string last_token;
  std::vector<Done> held;
  Status status;
  Revision revision = 0;
  bool hold = false;
  bool has_leader = true;
};

class WatchEdgeTest : public testing::Test {
 protected:
  WatchEdgeTest() {
    edge_.SetTerm(9);
    call_.metadata_.token = "secret";
  }
  etcdserverpb::WatchResponse Response(std::size_t i) {
    etcdserverpb::WatchResponse response;
    EXPECT_LT(i, call_.messages_.size());
    EXPECT_TRUE(response.ParseFromString(call_.messages_.at(i)));
    return response;
  }
  static std::string Create(const std::string& key) {
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key(key);
    return request.SerializeAsString();
  }

  io::Loop loop_{"test"};
  FakeSource source_;
  FakeAdmitter admitter_;
  int wakes_ = 0;
  FakeCall call_;
  WatchEdge edge_{loop_,
                  source_,
                  admitter_,
                  {.cluster_id = 7, .member_id = 8, .listener_defaults = {}, .wake_source = [this] {
                     ++wakes_;
                   }}};
};

TEST_F(WatchEdgeTest, EtcdsOwnMessagesGoInAndComeOut) {
  edge_.OnStart(call_);
  edge_.OnMessage(call_, Create("k"));
  EXPECT_EQ(admitter_.last_range, mvcc::KeyRange::FromWire("k", ""));
  EXPECT_EQ(admitter_.last_token, "secret");
  EXPECT_EQ(admitter_.last_consistency.mode, ReadMode::kLinearizable);
  EXPECT_TRUE(Response(0).created());
  EXPECT_EQ(Response(0).header().cluster_id(), 7U);
  EXPECT_EQ(Response(0).header().member_id(), 8U);
  EXPECT_EQ(Response(0).header().raft_term(), 9U);
  mvccpb::Event event;
  event.mutable_kv()->set_key("k");
  event.mutable_kv()->set_mod_revision(11);
  source_.Emit(0, 11, {event.SerializeAsString()});
  ASSERT_EQ(Response(1).events_size(), 1);
  EXPECT_EQ(Response(1).events(0).kv().mod_revision(), 11);
  EXPECT_EQ(Response(1).header().revision(), 11);
  EXPECT_GT(wakes_, 0);
  edge_.OnDone(call_);
  EXPECT_EQ(edge_.streams(), 0U);
}

TEST_F(WatchEdgeTest, AdmissionRaisesTheRevisionItOpensAt) {
  admitter_.revision = 12;
  edge_.OnStart(call_);
  edge_.OnMessage(call_, Create("k"));
  EXPECT_THAT(call_.messages_, IsEmpty());
  source_.revision_ = 12;
  source_.entries[0].watcher->sink->OnReady(*source_.entries[0].watcher);
  edge_.Poll(0);
  EXPECT_EQ(Response(0).header().revision(), 12);
  edge_.OnDone(call_);
}

TEST_F(WatchEdgeTest, AStreamEndsAsUnavailableWhenItsServerGoes) {
  edge_.OnStart(call_);
  edge_.OnMessage(call_, Create("k"));
  edge_.OnShutdown(call_);
  EXPECT_EQ(call_.status_, ToStatus(EtcdError::kStopped));
  edge_.OnShutdown(call_);
  edge_.OnMessage(call_, Create("l"));
  edge_.OnDone(call_);
  EXPECT_EQ(edge_.streams(), 0U);
}

TEST_F(WatchEdgeTest, BadMetadataIsRefused) {
  call_.metadata_.consistency = "sometimes";
  call_.metadata_.any_coppice = true;
  edge_.OnStart(call_);
  EXPECT_EQ(call_.status_.code(), StatusCode::kInvalidArgument);
  edge_.OnMessage(call_, Create("k"));
  edge_.OnDone(call_);
}

TEST_F(WatchEdgeTest, LeaderlessStreamsThatAskedForALeaderAreCut) {
  FakeCall plain;
  call_.metadata_.has_leader = true;
  edge_.OnStart(call_);
  edge_.OnStart(plain);
  EXPECT_FALSE(call_.finished_);
  edge_.CutLeaderless();
  EXPECT_TRUE(call_.finished_);
  EXPECT_EQ(MessageOf(call_.status_), "etcdserver: no leader");
  EXPECT_FALSE(plain.finished_);
  admitter_.has_leader = false;
  FakeCall late;
  late.metadata_.has_leader = true;
  edge_.OnStart(late);
  EXPECT_EQ(MessageOf(late.status_), "etcdserver: no leader");
  edge_.OnDone(call_);
  edge_.OnDone(plain);
  edge_.OnDone(late);
}

TEST_F(WatchEdgeTest, AdmissionThatComesAfterTheCallIsDropped) {
  admitter_.hold = true;
  edge_.OnStart(call_);
  edge_.OnMessage(call_, Create("k"));
  ASSERT_THAT(admitter_.held, SizeIs(1));
  edge_.OnDone(call_);
  admitter_.held[0](OkStatus(), 5);
  EXPECT_THAT(source_.entries, IsEmpty());
}

TEST_F(WatchEdgeTest, FailedRoundEndsTheStream) {
  admitter_.status = MakeStatus(StatusCode::kUnavailable, "etcdserver: request timed out");
  edge_.OnStart(call_);
  edge_.OnMessage(call_, Create("k"));
  EXPECT_EQ(call_.status_.code(), StatusCode::kUnavailable);
  edge_.OnDone(call_);
}

TEST_F(WatchEdgeTest, ClientThatReadsNothingStopsItsWatchersOnly) {
  edge_.OnStart(call_);
  edge_.OnMessage(call_, Create("k"));
  call_.unsent_ = rpc::Call::kHighWater;
  source_.Emit(0, 11, {"e"});
  EXPECT_FALSE(source_.ById(0).watcher->sink->writable);
  call_.unsent_ = 0;
  edge_.OnDrained(call_);
  EXPECT_TRUE(source_.ById(0).watcher->sink->writable);
  edge_.OnDone(call_);
}

}  // namespace
}  // namespace coppice::api
