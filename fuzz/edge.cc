// A client's bytes to the gRPC edge of a small node (edge_node.h), cut into pieces as the input
// says: HTTP/2 by its preface, else HTTP/1.1. Whatever comes, the answers keep the protocols
// (reply_checker.h), memory stays within the limits, and once the connection is gone so is every
// call, request and watch.

#include "common/api/edge.h"

#include <nghttp2/nghttp2.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/api/health.h"
#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/rpc/framing.h"
#include "common/rpc/http1.h"
#include "common/rpc/server_core.h"
#include "common/rpc/session.h"
#include "etcd/rpc.pb.h"
#include "fuzz/edge_node.h"
#include "fuzz/input.h"
#include "fuzz/reply_checker.h"
#include "fuzz/target.h"
#include "fuzz/turn.h"

namespace coppice::fuzz {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kInputMax = 64U << 10;
constexpr std::size_t kProduced = 32U << 10;
constexpr int kProducesMax = 64;
constexpr std::size_t kPagesBytes = 3000;
constexpr std::size_t kHttp1OutMax = (1U << 20) + 2 * kPagesBytes;

rpc::ServerOptions Options(bool small) {
  rpc::ServerOptions options;
  if (!small) return options;
  options.message_bytes_max = 1024;
  options.header_list_bytes_max = 512;
  options.streams_max = 4;
  options.memory_bytes_max = 2048;
  options.reset_burst = 5;
  options.reset_per_second = 1;
  return options;
}

class World final : public rpc::ServerSession::Host {
 public:
  explicit World(std::uint8_t flags)
      : watch_edge_(TheLoop(), node_.hub(), node_, {.cluster_id = 7, .member_id = 9}),
        edge_(node_, TheLoop(), {}),
        core_(TheLoop(), Options((flags & 1) != 0), edge_.Methods(&watch_edge_, health_), {}),
        drain_((flags & 2) != 0),
        slow_((flags & 4) != 0),
        session_(std::make_unique<rpc::ServerSession>(core_, *this, 0)) {}

  ~World() override {
    session_.reset();
    COPPICE_CHECK(core_.calls() == 0 && core_.request_bytes == 0);
    COPPICE_CHECK(watch_edge_.streams() == 0 && node_.hub().watchers() == 0);
    node_.Stop();
    Turn();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void WakeFlush() override {}

  // False: the connection is over.
  bool Receive(std::string_view bytes) {
    received_ += bytes.size();
    const bool good = session_->Receive(bytes);
    // What is buffered came from the client, and a message that would pass the limit is refused.
    COPPICE_CHECK(core_.request_bytes <= received_);
    COPPICE_CHECK(core_.request_bytes <=
                  core_.options.memory_bytes_max + bytes.size() + core_.options.message_bytes_max);
    node_.Turn();
    watch_edge_.Poll(TheLoop().now());
    if (!slow_) Produce();
    return good && !session_->finished();
  }

  // Time passes and the server goes down: default deadlines, keep-alive, draining.
  void End() {
    if (drain_) {
      session_->Drain();
      Produce();
      session_->Drain();
    }
    edge_.Expire(kNever - 1);
    node_.Turn();
    watch_edge_.Poll(TheLoop().now());
    health_.Update();
    session_->Tick(TheLoop().now() + 3 * 3600 * kSecond);
    Produce();
  }

 private:
  void Produce() {
    for (int i = 0; i < kProducesMax; ++i) {
      std::string out;
      session_->Produce(out, kProduced);
      if (out.empty()) return;
      COPPICE_CHECK(out.size() <= kProduced + 32'768, "about as much as was asked for");
      checker_.Receive(out);
      node_.Turn();
      watch_edge_.Poll(TheLoop().now());
    }
  }

  EdgeNode node_;
  api::WatchEdge watch_edge_;
  api::Health health_{[] { return true; }};
  api::Edge edge_;
  rpc::ServerCore core_;
  ReplyChecker checker_;
  const bool drain_;
  const bool slow_;  // takes nothing before the end
  std::unique_ptr<rpc::ServerSession> session_;
  std::size_t received_ = 0;
};

// Cuts what is left into pieces, by the size that `flags` names.
template <typename Take>
void Cut(std::string_view bytes, std::uint8_t flags, Take take) {
  constexpr std::size_t kSizes[] = {kInputMax, 1000, 37, 9, 1};
  const std::size_t size = kSizes[(flags >> 4) % std::size(kSizes)];
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
    if (!take(bytes.substr(0, size))) return;
  }
}

void RunHttp1(std::string_view bytes, std::uint8_t flags) {
  const rpc::HttpHandler pages = [](std::string_view path, std::string_view query) {
    COPPICE_CHECK(path.find('?') == std::string_view::npos);
    return rpc::HttpResponse{path.size() % 2 == 0 ? 200 : 404, "text/plain",
                             std::string(kPagesBytes, query.empty() ? 'p' : 'q')};
  };
  rpc::Http1Session session(pages);
  std::string out;
  Cut(bytes, flags, [&](std::string_view piece) {
    const std::size_t before = out.size();
    const bool more = session.Receive(piece, out);
    COPPICE_CHECK(out.size() == before || out.compare(before, 9, "HTTP/1.1 ") == 0);
    COPPICE_CHECK(out.size() <= kHttp1OutMax, "requests in one piece do not pile up answers");
    if ((flags & 4) == 0) out.clear();
    return more;
  });
}

void Run(std::string_view bytes) {
  Input input(bytes.substr(0, kInputMax));
  const std::uint8_t flags = input.Byte();
  const std::string_view rest = input.Rest();
  if ((flags & 8) != 0) return RunHttp1(rest, flags);
  World world(flags);
  const std::string preface(kPreface);  // an input need not find it
  if (world.Receive(preface)) {
    Cut(rest, flags, [&](std::string_view piece) { return world.Receive(piece); });
  }
  world.End();
}

// --- Seeds: what clients send.

std::string FrameOf(std::uint8_t type, std::uint8_t flags, std::int32_t id,
                    std::string_view payload) {
  std::string out;
  PutBe32(out, static_cast<std::uint32_t>(payload.size()) << 8 | type);
  out.push_back(static_cast<char>(flags));
  PutBe32(out, static_cast<std::uint32_t>(id));
  return out.append(payload);
}

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

// Literal fields without indexing or Huffman: bytes that a fuzzer can change.
std::string Call(std::int32_t id, std::string_view path, const Fields& extra, bool end = false) {
  Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", path},
                   {":authority", "a"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  fields.insert(fields.end(), extra.begin(), extra.end());
  std::string block;
  for (const auto& [name, value] : fields) {
    block.push_back('\0');
    block.push_back(static_cast<char>(name.size()));
    block.append(name);
    block.push_back(static_cast<char>(value.size()));
    block.append(value);
  }
  const int flags = NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0);
  return FrameOf(NGHTTP2_HEADERS, static_cast<std::uint8_t>(flags), id, block);
}

std::string Message(std::int32_t id, const std::string& bytes, bool end = true) {
  char prefix[rpc::kPrefixSize];
  rpc::WritePrefix(prefix, static_cast<std::uint32_t>(bytes.size()));
  return FrameOf(NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, id,
                 std::string(prefix, rpc::kPrefixSize) + bytes);
}

std::string Settings() {
  return FrameOf(NGHTTP2_SETTINGS, 0, 0, "") + FrameOf(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "");
}

std::string Put(std::int32_t id, const Fields& extra = {}) {
  etcdserverpb::PutRequest put;
  put.set_key("a");
  put.set_value("value");
  return Call(id, "/etcdserverpb.KV/Put", extra) + Message(id, put.SerializeAsString());
}

std::string Range(std::int32_t id, const Fields& extra = {}) {
  etcdserverpb::RangeRequest range;
  range.set_key("a");
  range.set_range_end("b");
  return Call(id, "/etcdserverpb.KV/Range", extra) + Message(id, range.SerializeAsString());
}

std::string Txn(std::int32_t id) {
  etcdserverpb::TxnRequest txn;
  auto* compare = txn.add_compare();
  compare->set_key("a");
  compare->set_target(etcdserverpb::Compare::VALUE);
  compare->set_value("value");
  txn.add_success()->mutable_request_put()->set_key("b");
  txn.add_failure()->mutable_request_range()->set_key("a");
  return Call(id, "/etcdserverpb.KV/Txn", {}) + Message(id, txn.SerializeAsString());
}

std::string Watch(std::int32_t id, Revision start) {
  etcdserverpb::WatchRequest create;
  create.mutable_create_request()->set_key("a");
  create.mutable_create_request()->set_range_end(std::string(1, '\0'));
  create.mutable_create_request()->set_start_revision(start);
  create.mutable_create_request()->set_prev_kv(true);
  etcdserverpb::WatchRequest progress;
  progress.mutable_progress_request();
  etcdserverpb::WatchRequest cancel;
  cancel.mutable_cancel_request()->set_watch_id(0);
  return Call(id, "/etcdserverpb.Watch/Watch", {}) +
         Message(id, create.SerializeAsString(), false) + Put(id + 2) +
         Message(id, progress.SerializeAsString(), false) +
         Message(id, cancel.SerializeAsString(), false);
}

std::vector<std::string> Seeds() {
  const Fields bounded = {{"coppice-consistency", "bounded"},
                          {"coppice-max-staleness", "250ms"},
                          {"coppice-min-revision", "2"},
                          {"grpc-timeout", "10S"},
                          {"hasleader", "true"},
                          {"token", "t"}};
  const std::string health = Call(1, "/grpc.health.v1.Health/Check", {}) + Message(1, "");
  const std::string window = FrameOf(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\xff\xff", 4));
  const std::string reset = FrameOf(NGHTTP2_RST_STREAM, 0, 1, std::string("\0\0\0\x8", 4));
  const std::string ping = FrameOf(NGHTTP2_PING, 0, 0, "12345678");
  const std::string small_window =
      FrameOf(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\0\0\0\x10", 6));
  std::vector<std::string> seeds;
  for (const char flags : {'\0', '\x07', '\x12', '\x24', '\x33', '\x40'}) {
    const std::string head = std::string(1, flags) + Settings();
    const auto add = [&](std::initializer_list<std::string> pieces) {
      std::string& seed = seeds.emplace_back(head);
      for (const std::string& piece : pieces) seed += piece;
    };
    add({Put(1), Range(3, bounded), Put(5), Txn(7), Range(9)});
    add({Put(1), Watch(3, 1), Put(7), ping, window});
    add({Watch(1, 0), Watch(5, 9), reset, Put(9)});
    add({health, small_window, Put(3), Range(5), Range(7), Range(9)});
    add({Call(1, "/etcdserverpb.Lease/LeaseGrant", {}, true),
         Call(3, "/nowhere", {{"grpc-timeout", "0u"}}, true), Message(1, "x")});
  }
  const std::string page = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string old = "HEAD /metrics?x=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  seeds.push_back("\x08" + page + old + page + "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  seeds.push_back("\x3c" + page + "GET /version HTTP/1.1\r\nConnection: close\r\n\r\n");
  return seeds;
}

}  // namespace

Target EdgeTarget() {
  return {"edge", Run, Seeds};
}

}  // namespace coppice::fuzz
