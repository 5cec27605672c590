#include "common/client/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <thread>

// The driver against grpc++ servers in this process. What to do is the core's tests' concern.

namespace coppice::client {
namespace {

using grpc::ServerContext;

// An etcd of one server with one key per revision and nothing but what these tests ask for.
class FakeEtcd final : public etcdserverpb::KV::Service, public etcdserverpb::Watch::Service {
 public:
  FakeEtcd() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(static_cast<etcdserverpb::KV::Service*>(this));
    builder.RegisterService(static_cast<etcdserverpb::Watch::Service*>(this));
    server_ = builder.BuildAndStart();
  }
  ~FakeEtcd() override { Stop(); }

  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }

  grpc::Status Range(ServerContext* context, const etcdserverpb::RangeRequest*,
                     etcdserverpb::RangeResponse* reply) override {
    ++ranges;
    const std::lock_guard lock(mutex_);
    seen_.clear();
    for (const auto& [name, value] : context->client_metadata()) {
      seen_[{name.data(), name.size()}] = {value.data(), value.size()};
    }
    FillHeader(*reply->mutable_header());
    context->AddTrailingMetadata("coppice-served-by", "b1");
    return fail_reads;
  }
  grpc::Status Put(ServerContext*, const etcdserverpb::PutRequest*,
                   etcdserverpb::PutResponse* reply) override {
    ++puts;
    ++revision;
    FillHeader(*reply->mutable_header());
    return fail_puts;
  }
  // Delivers revisions from start_revision to `watch_until`, then breaks or waits for its client.
  grpc::Status Watch(ServerContext* context,
                     grpc::ServerReaderWriter<etcdserverpb::WatchResponse,
                                              etcdserverpb::WatchRequest>* stream) override {
    etcdserverpb::WatchRequest request;
    stream->Read(&request);
    ++watches;
    const std::int64_t start = request.create_request().start_revision();
    etcdserverpb::WatchResponse response;
    FillHeader(*response.mutable_header());
    response.set_created(true);
    stream->Write(response);
    for (std::int64_t at = start != 0 ? start : revision + 1; at <= watch_until; ++at) {
      response.Clear();
      FillHeader(*response.mutable_header());
      response.mutable_header()->set_revision(at);
      response.set_fragment(true);
      AddEvent(response, at, "first");
      stream->Write(response);
      response.clear_events();
      response.set_fragment(false);
      AddEvent(response, at, "second");
      stream->Write(response);
    }
    if (watch_breaks) return {grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"};
    while (!context->IsCancelled()) stream->Read(&request);
    return grpc::Status::CANCELLED;
  }

  std::string seen(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = seen_.find(name);
    return found == seen_.end() ? "-" : found->second;
  }

  std::atomic<std::int64_t> revision{10};
  std::atomic<int> ranges{0}, puts{0}, watches{0};
  grpc::Status fail_reads, fail_puts;
  std::int64_t watch_until = 0;
  bool watch_breaks = false;

 private:
  void FillHeader(etcdserverpb::ResponseHeader& header) const {
    header.set_cluster_id(0xc0);
    header.set_revision(revision);
  }
  static void AddEvent(etcdserverpb::WatchResponse& response, std::int64_t revision,
                       const char* key) {
    auto& kv = *response.add_events()->mutable_kv();
    kv.set_key(key);
    kv.set_mod_revision(revision);
  }

  int port_ = 0;
  std::mutex mutex_;
  std::map<std::string, std::string> seen_;
  std::unique_ptr<grpc::Server> server_;
};

ClientOptions InOrder(std::vector<std::string> endpoints) {
  ClientOptions options;
  options.endpoints = std::move(endpoints);
  options.prefer = Prefer::kInOrder;
  options.unreached_passes_max = 1;
  return options;
}

TEST(Client, ReadsItsOwnWritesByTheSessionsRevision) {
  FakeEtcd etcd;
  Client client(InOrder({etcd.endpoint()}));
  EXPECT_EQ(client.Put({}).reply.header().revision(), 11);
  const auto read = client.Range({}, {.mode = ReadMode::kSerializable});
  EXPECT_TRUE(read.ok());
  EXPECT_EQ(read.served.by, "b1");
  EXPECT_EQ(etcd.seen("coppice-min-revision"), "c0/11");
  EXPECT_EQ(etcd.seen("coppice-consistency"), "serializable");
  EXPECT_EQ(client.session().revision(), 11);
}

TEST(Client, PassesOverAnEndpointThatIsNotThere) {
  FakeEtcd gone;
  gone.Stop();
  FakeEtcd etcd;
  Client client(InOrder({gone.endpoint(), etcd.endpoint()}));
  EXPECT_TRUE(client.Put({}).ok());
  EXPECT_EQ(etcd.puts, 1);
}

TEST(Client, SaysWhenItReachesNobody) {
  FakeEtcd gone;
  gone.Stop();
  Client client(InOrder({gone.endpoint()}));
  const auto put = client.Put({});
  EXPECT_EQ(put.outcome, Outcome::kNotDone);
  EXPECT_EQ(put.status.code(), StatusCode::kUnavailable);
  EXPECT_FALSE(put.reached);
}

TEST(Client, TriesAReadElsewhereAndAMutationNot) {
  FakeEtcd one;
  FakeEtcd two;
  one.fail_reads = one.fail_puts = {grpc::StatusCode::UNAVAILABLE, "etcdserver: leader changed"};
  Client client(InOrder({one.endpoint(), two.endpoint()}));
  EXPECT_TRUE(client.Range({}).ok());
  EXPECT_EQ(one.ranges, 1);
  EXPECT_EQ(two.ranges, 1);
  CallOptions at_one;
  at_one.endpoint = 0;
  const auto put = client.Put({}, at_one);
  EXPECT_EQ(put.outcome, Outcome::kUnknown);
  EXPECT_EQ(MessageOf(put.status), "etcdserver: leader changed");
  EXPECT_EQ(one.puts, 1);
  EXPECT_EQ(two.puts, 0);
}

TEST(Client, AReadOnlyTransactionIsARead) {
  FakeEtcd etcd;  // has no Txn: Unimplemented is final for both
  Client client(InOrder({etcd.endpoint()}));
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_range();
  EXPECT_EQ(client.Txn(txn).status.code(), StatusCode::kUnimplemented);
}

TEST(Client, ManyThreadsShareOne) {
  FakeEtcd etcd;
  Client client(InOrder({etcd.endpoint()}));
  std::atomic<int> ok{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) ok += client.Put({}).ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ok, 400);
  EXPECT_EQ(etcd.puts, 400);
  EXPECT_EQ(client.session().revision(), 410);
}

TEST(Client, AWatchGoesOnElsewhereWhereItStopped) {
  FakeEtcd one;
  FakeEtcd two;
  one.watch_until = 12;
  one.watch_breaks = true;
  two.watch_until = 14;
  Client client(InOrder({one.endpoint(), two.endpoint()}));
  const auto watcher = client.Watch({});
  etcdserverpb::WatchResponse response;
  ASSERT_TRUE(watcher->Next(response));
  EXPECT_TRUE(response.created());
  EXPECT_EQ(response.header().revision(), 10);
  for (std::int64_t revision = 11; revision <= 14; ++revision) {
    ASSERT_TRUE(watcher->Next(response));
    // The fragments of a revision come as one.
    ASSERT_EQ(response.events_size(), 2);
    EXPECT_EQ(response.events(0).kv().key(), "first");
    EXPECT_EQ(response.events(1).kv().key(), "second");
    EXPECT_EQ(response.events(0).kv().mod_revision(), revision);
  }
  EXPECT_EQ(two.watches, 1);
}

TEST(Client, CancelEndsAWatchThatWaits) {
  FakeEtcd etcd;
  Client client(InOrder({etcd.endpoint()}));
  const auto watcher = client.Watch({});
  etcdserverpb::WatchResponse response;
  ASSERT_TRUE(watcher->Next(response));
  auto next = std::async(std::launch::async, [&] { return watcher->Next(response); });
  watcher->Cancel();
  EXPECT_FALSE(next.get());
  EXPECT_EQ(watcher->status().code(), StatusCode::kCancelled);
}

TEST(Client, ACallEndsAtItsDeadlineThoughItsServerIsSilent) {
  FakeEtcd etcd;
  Client client(InOrder({etcd.endpoint()}));
  CallOptions hurried;
  hurried.timeout = 50 * kMillisecond;
  etcdserverpb::WatchResponse response;
  const auto watcher = client.Watch({}, hurried);
  ASSERT_TRUE(watcher->Next(response));
  EXPECT_FALSE(watcher->Next(response));
  EXPECT_EQ(watcher->status().code(), StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace coppice::client
