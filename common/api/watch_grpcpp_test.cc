// etcd's own client stubs (grpc++) watch through rpc's server: the stream is etcd's end to end.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/api/fake_watch_source.h"
#include "common/api/watch_edge.h"
#include "common/base/check.h"
#include "common/rpc/test_service.h"
#include "etcd/rpc.grpc.pb.h"

namespace coppice::api {
namespace {

class AdmitAll final : public WatchAdmitter {
 public:
  void Admit(const mvcc::KeyRange&, const Consistency&, std::string_view, Done done) override {
    done(OkStatus(), 0);
  }
  bool HasLeader() const override { return true; }
};

TEST(WatchGrpcpp, CreatesEventsProgressAndCancelOnOneStream) {
  rpc::LoopThread thread;
  FakeSource source;
  AdmitAll admitter;
  auto edge = std::make_unique<WatchEdge>(thread.loop(), source, admitter,
                                          WatchEdgeOptions{.cluster_id = 7, .member_id = 8});
  auto server = std::make_unique<rpc::Server>(
      thread.loop(), rpc::ServerOptions(),
      std::vector<rpc::MethodSpec>{{.path = "/etcdserverpb.Watch/Watch",
                                    .client_streams = true,
                                    .server_streams = true,
                                    .handler = edge.get()}},
      nullptr);
  auto acceptor = std::make_unique<rpc::Acceptor>(
      thread.loop(),
      std::vector<std::pair<io::Loop*, rpc::Server*>>{{&thread.loop(), server.get()}});
  const auto port = acceptor->Listen("127.0.0.1", 0, 0);
  ASSERT_TRUE(port.ok());
  thread.Start();
  {
    const auto stub = etcdserverpb::Watch::NewStub(grpc::CreateChannel(
        "127.0.0.1:" + std::to_string(*port), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    const auto stream = stub->Watch(&context);
    etcdserverpb::WatchRequest request;
    etcdserverpb::WatchResponse response;
    request.mutable_create_request()->set_key("k");
    ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
    EXPECT_TRUE(response.created());
    EXPECT_EQ(response.header().revision(), 10);

    mvccpb::Event event;
    event.mutable_kv()->set_key("k");
    thread.Call([&] {
      source.revision_ = 11;
      source.Emit(0, 11, {event.SerializeAsString()});
      return 0;
    });
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_EQ(response.events_size(), 1);
    EXPECT_EQ(response.events(0).kv().key(), "k");

    request.mutable_progress_request();
    ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
    EXPECT_EQ(response.watch_id(), -1);
    EXPECT_EQ(response.header().revision(), 11);

    request.mutable_cancel_request()->set_watch_id(0);
    ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
    EXPECT_TRUE(response.canceled());
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  thread.Stop();
  acceptor.reset();
  server.reset();
  edge.reset();
}

}  // namespace
}  // namespace coppice::api
