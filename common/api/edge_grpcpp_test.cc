// etcd's own client stubs (grpc++) against the edge over rpc's server: the wire is etcd's from end
// to end. The node behind is a map.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "common/api/edge.h"
#include "common/api/encode.h"
#include "common/api/errors.h"
#include "common/api/health.h"
#include "common/api/http.h"
#include "common/api/parse.h"
#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/rpc/test_service.h"
#include "coppice.grpc.pb.h"
#include "etcd/election.grpc.pb.h"
#include "etcd/health.grpc.pb.h"
#include "etcd/lock.grpc.pb.h"
#include "etcd/rpc.grpc.pb.h"

namespace coppice::api {
namespace {

using testing::HasSubstr;

// Puts, gets and compactions of a map; the key "never" has no answer, "large" one in parts.
class MapNode final : public Node {
 public:
  static constexpr std::size_t kLargeValue = 3U << 20;

  void Serve(const Request& request, std::unique_ptr<Replier> replier) override {
    last_ = request.consistency;
    switch (request.method) {
      case Method::kRange:
        return Range(request, std::move(replier));
      case Method::kPut:
        return Put(request, *replier);
      case Method::kCompact:
        return replier->Fail(ToStatus(mvcc::Error::kCompacted));
      default:
        return replier->Fail(NotImplemented(FindMethod(request.method)->path));
    }
  }

 private:
  ResponseHeader Header() const {
    return {
        .cluster_id = 11, .member_id = NodeId(0xabc), .revision = revision_, .raft_term = Term(3)};
  }
  Served ReadBy() const { return {.by = NodeId(0xabc), .mode = last_.mode, .staleness = 1500}; }

  void Range(const Request& request, std::unique_ptr<Replier> replier) {
    ParsedRange parsed;
    if (const Status status = ParseRange(request.bytes, parsed); !status.ok()) {
      return replier->Fail(status);
    }
    const std::string& key = parsed.op.range.begin;
    if (key == "never") return waiting_.push_back(std::move(replier));
    if (key == "large") return Large(*replier);
    std::string kvs;
    std::int64_t count = 0;
    for (const auto& [name, value] : data_) {
      if (!parsed.op.range.Contains(name)) continue;
      PutBytesField(kvs, 2, KeyValue(name, value));
      ++count;
    }
    const RangeResponse response(Header(), kvs, false, count);
    replier->Ok(response.pieces(), ReadBy());
  }
  void Put(const Request& request, Replier& replier) {
    mvcc::PutOp put;
    if (const Status status = ParsePut(request.bytes, put); !status.ok()) {
      return replier.Fail(status);
    }
    mvcc::PutResult result;
    if (put.prev_kv && data_.contains(put.key)) {
      result.prev_kv = KeyValue(put.key, data_[put.key]);
    }
    data_[put.key] = put.value;
    ++revision_;
    std::string bytes;
    EncodePut(Header(), result, bytes);
    const std::string_view pieces[] = {bytes};
    replier.Ok(pieces, {.by = NodeId(0xabc)});
  }
  void Large(Replier& replier) {
    std::string kvs;
    PutBytesField(kvs, 2, KeyValue("large", std::string(kLargeValue, 'x')));
    const RangeResponse response(Header(), {}, false, 1);
    std::string whole(response.prefix());
    whole.append(kvs).append(response.suffix());
    const std::size_t total = whole.size();
    auto next = [whole = std::move(whole), at = std::size_t{0}](std::string& out) mutable {
      const std::string_view step = std::string_view(whole).substr(at, 64U << 10);
      out.append(step);
      at += step.size();
      return at < whole.size();
    };
    replier.Parts(total, std::make_unique<MadeParts>(std::move(next), ReadBy()));
  }
  static std::string KeyValue(const std::string& key, const std::string& value) {
    std::string kv;
    PutBytesField(kv, 1, key);
    PutBytesField(kv, 5, value);
    return kv;
  }

  std::map<std::string, std::string> data_;
  Revision revision_ = 1;
  Consistency last_;
  std::vector<std::unique_ptr<Replier>> waiting_;
};

class EdgeEndToEnd : public testing::Test {
 protected:
  EdgeEndToEnd() {
    EdgeOptions options;
    options.timeout = 50 * kMillisecond;
    edge_ = std::make_unique<Edge>(node_, thread_.loop(), options);
    server_ = std::make_unique<rpc::Server>(thread_.loop(), rpc::ServerOptions(),
                                            edge_->Methods(nullptr, health_), MakeHttpHandler({}));
    acceptor_ = std::make_unique<rpc::Acceptor>(
        thread_.loop(),
        std::vector<std::pair<io::Loop*, rpc::Server*>>{{&thread_.loop(), server_.get()}});
    const auto port = acceptor_->Listen("127.0.0.1", 0, 0);
    COPPICE_CHECK(port.ok());
    thread_.Start();
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(*port),
                                   grpc::InsecureChannelCredentials());
    kv_ = etcdserverpb::KV::NewStub(channel_);
  }
  ~EdgeEndToEnd() override {
    thread_.Stop();
    acceptor_.reset();
    server_.reset();
  }

  grpc::Status Get(const std::string& key, etcdserverpb::RangeResponse& response,
                   const std::map<std::string, std::string>& metadata = {}) {
    grpc::ClientContext context;
    for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    const grpc::Status status = kv_->Range(&context, request, &response);
    trailers_.clear();
    for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
      trailers_[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    return status;
  }

  rpc::LoopThread thread_;
  MapNode node_;
  Health health_{[] { return true; }};
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Acceptor> acceptor_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<etcdserverpb::KV::Stub> kv_;
  std::map<std::string, std::string> trailers_;
};

TEST_F(EdgeEndToEnd, WhatIsPutIsRead) {
  for (const char* value : {"one", "two"}) {
    grpc::ClientContext context;
    etcdserverpb::PutRequest put;
    put.set_key("k");
    put.set_value(value);
    put.set_prev_kv(true);
    etcdserverpb::PutResponse response;
    ASSERT_TRUE(kv_->Put(&context, put, &response).ok());
    if (std::string(value) == "two") {
      EXPECT_EQ(response.prev_kv().value(), "one");
      EXPECT_EQ(response.header().revision(), 3);
    }
  }
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(Get("k", response).ok());
  EXPECT_EQ(response.header().cluster_id(), 11u);
  EXPECT_EQ(response.header().member_id(), 0xabcu);
  EXPECT_EQ(response.header().raft_term(), 3u);
  ASSERT_EQ(response.kvs_size(), 1);
  EXPECT_EQ(response.kvs(0).value(), "two");
  EXPECT_TRUE(trailers_.empty());
}

TEST_F(EdgeEndToEnd, TrailersSayWhatWasServed) {
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(
      Get("k", response, {{"coppice-consistency", "bounded"}, {"coppice-max-staleness", "2s"}})
          .ok());
  EXPECT_EQ(trailers_["coppice-served-by"], "abc");
  EXPECT_EQ(trailers_["coppice-served-consistency"], "bounded");
  EXPECT_EQ(trailers_["coppice-staleness"], "2ms");
}

TEST_F(EdgeEndToEnd, ErrorsAreEtcds) {
  etcdserverpb::RangeResponse response;
  grpc::Status status = Get("", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "etcdserver: key is not provided");

  status = Get("k", response, {{"coppice-consistency", "strong"}});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("linearizable, bounded or serializable"));

  status = Get("k", response, {{"coppice-freshness", "1"}});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("coppice-freshness"));

  grpc::ClientContext context;
  etcdserverpb::CompactionRequest compact;
  etcdserverpb::CompactionResponse compacted;
  status = kv_->Compact(&context, compact, &compacted);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "etcdserver: mvcc: required revision has been compacted");
}

TEST_F(EdgeEndToEnd, ACallWithoutADeadlineTimesOut) {
  etcdserverpb::RangeResponse response;
  const grpc::Status status = Get("never", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "etcdserver: request timed out");
  EXPECT_TRUE(Get("k", response).ok());
}

TEST_F(EdgeEndToEnd, ACanceledCallLeavesTheConnectionAlive) {
  grpc::ClientContext context;
  std::thread canceler([&context] { context.TryCancel(); });
  etcdserverpb::RangeRequest request;
  request.set_key("never");
  etcdserverpb::RangeResponse response;
  const grpc::Status status = kv_->Range(&context, request, &response);
  canceler.join();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(Get("k", response).ok());
}

TEST_F(EdgeEndToEnd, ALargeAnswerComesInParts) {
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(Get("large", response).ok());
  ASSERT_EQ(response.kvs_size(), 1);
  EXPECT_EQ(response.kvs(0).value(), std::string(MapNode::kLargeValue, 'x'));
  EXPECT_EQ(response.count(), 1);
}

TEST_F(EdgeEndToEnd, AMutationAboveTheLimitIsRefused) {
  grpc::ClientContext context;
  etcdserverpb::PutRequest put;
  put.set_key("k");
  put.set_value(std::string(3U << 19, 'x'));
  etcdserverpb::PutResponse response;
  const grpc::Status status = kv_->Put(&context, put, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "etcdserver: request is too large");
}

TEST_F(EdgeEndToEnd, UnbuiltRpcsAnswerUnimplemented) {
  const auto expect = [](const grpc::Status& status, const std::string& path) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << path;
    EXPECT_EQ(status.error_message(), "etcdserver: not implemented yet: " + path);
  };
  auto lease = etcdserverpb::Lease::NewStub(channel_);
  {
    grpc::ClientContext context;
    etcdserverpb::LeaseGrantResponse response;
    expect(lease->LeaseGrant(&context, {}, &response), "/etcdserverpb.Lease/LeaseGrant");
  }
  {
    grpc::ClientContext context;
    expect(lease->LeaseKeepAlive(&context)->Finish(), "/etcdserverpb.Lease/LeaseKeepAlive");
  }
  {
    grpc::ClientContext context;
    expect(kv_->RangeStream(&context, {})->Finish(), "/etcdserverpb.KV/RangeStream");
  }
  {
    grpc::ClientContext context;
    v3lockpb::LockResponse response;
    expect(v3lockpb::Lock::NewStub(channel_)->Lock(&context, {}, &response), "/v3lockpb.Lock/Lock");
  }
  {
    grpc::ClientContext context;
    expect(v3electionpb::Election::NewStub(channel_)->Observe(&context, {})->Finish(),
           "/v3electionpb.Election/Observe");
  }
}

TEST_F(EdgeEndToEnd, HealthIsServed) {
  auto health = grpc::health::v1::Health::NewStub(channel_);
  grpc::health::v1::HealthCheckResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(health->Check(&context, {}, &response).ok());
    EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  }
  grpc::ClientContext context;
  auto watch = health->Watch(&context, {});
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  context.TryCancel();
  EXPECT_FALSE(watch->Finish().ok());
}

}  // namespace
}  // namespace coppice::api
