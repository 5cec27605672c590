// A steady Range through the edge allocates nothing: counted, as it is easily lost.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "common/api/edge.h"
#include "common/api/encode.h"
#include "common/api/health.h"
#include "etcd/rpc.pb.h"

namespace {
long allocations = 0;
}

// Not inlined: GCC would take the pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  void* const memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace coppice::api {
namespace {

class QuietCall final : public rpc::Call {
 public:
  rpc::CallId id() const override { return {}; }
  const rpc::Metadata& metadata() const override { return metadata_; }
  Time deadline() const override { return kNever; }
  int listener() const override { return 0; }
  void Write(std::span<const std::string_view> pieces) override {
    for (std::string_view piece : pieces) bytes_ += piece.size();
  }
  void BeginParts(std::size_t) override {}
  void AppendPart(std::string_view) override {}
  void Finish(const Status& status,
              std::span<const std::pair<std::string_view, std::string_view>>) override {
    ok_ = status.ok();
  }
  std::size_t unsent_bytes() const override { return 0; }

  rpc::Metadata metadata_;
  std::size_t bytes_ = 0;
  bool ok_ = false;
};

// Answers the request before the last, so that there is always one on its way.
class LateNode final : public Node {
 public:
  void Serve(const Request& /*request*/, std::unique_ptr<Replier> replier) override {
    if (waiting_ != nullptr) {
      const ResponseHeader header{
          .cluster_id = 1, .member_id = NodeId(2), .revision = 3, .raft_term = Term(4)};
      const RangeResponse response(header, "", false, 0);
      waiting_->Ok(response.pieces(), {.by = NodeId(2), .staleness = 5});
    }
    waiting_ = std::move(replier);
  }

 private:
  std::unique_ptr<Replier> waiting_;
};

TEST(EdgeAllocations, ASteadyRangeMakesNone) {
  io::Loop loop("test");
  LateNode node;
  Health health([] { return true; });
  Edge edge(node, loop, {});
  rpc::CallHandler* range = nullptr;
  for (const rpc::MethodSpec& spec : edge.Methods(nullptr, health)) {
    if (spec.path == "/etcdserverpb.KV/Range") range = spec.handler;
  }
  etcdserverpb::RangeRequest request;
  request.set_key("a key of an ordinary length, /registry/pods/default/web-0");
  const std::string bytes = request.SerializeAsString();
  QuietCall calls[2];
  for (int i = 0; i < 10; ++i) range->OnMessage(calls[i % 2], bytes);
  const long before = allocations;
  for (int i = 0; i < 1000; ++i) range->OnMessage(calls[i % 2], bytes);
  EXPECT_EQ(allocations, before);
  for (QuietCall& call : calls) range->OnDone(call);
  EXPECT_TRUE(calls[0].ok_);
}

}  // namespace
}  // namespace coppice::api
