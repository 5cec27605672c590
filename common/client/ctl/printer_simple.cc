#include <fmt/format.h>

#include <cstdio>

#include "common/client/ctl/printer.h"
#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

// Keys and values are bytes: written as they are, whatever they hold.
void Line(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

class SimplePrinter final : public Printer {
 public:
  explicit SimplePrinter(bool hex) : hex_(hex) {}

  Outcome Put(const etcdserverpb::PutResponse& reply) override {
    Line("OK");
    if (reply.has_prev_kv()) Kv(reply.prev_kv());
    return {};
  }
  Outcome Get(const etcdserverpb::RangeResponse& reply) override {
    for (const auto& kv : reply.kvs()) Kv(kv);
    return {};
  }
  Outcome Del(const etcdserverpb::DeleteRangeResponse& reply) override {
    Line(std::to_string(reply.deleted()));
    for (const auto& kv : reply.prev_kvs()) Kv(kv);
    return {};
  }
  Outcome Txn(const etcdserverpb::TxnResponse& reply) override {
    Line(reply.succeeded() ? "SUCCESS" : "FAILURE");
    for (const auto& op : reply.responses()) {
      Line("");
      if (op.has_response_range()) Get(op.response_range());
      if (op.has_response_put()) Put(op.response_put());
      if (op.has_response_delete_range()) Del(op.response_delete_range());
      if (op.has_response_txn()) Txn(op.response_txn());
    }
    return {};
  }
  Outcome Watch(const etcdserverpb::WatchResponse& reply) override {
    for (const auto& event : reply.events()) {
      Line(event.type() == mvccpb::Event::PUT ? "PUT" : "DELETE");
      if (event.has_prev_kv()) Kv(event.prev_kv());
      Kv(event.kv());
    }
    return {};
  }
  Outcome Members(const etcdserverpb::MemberListResponse& reply) override {
    return Rows(MemberRows(reply));
  }
  Outcome Statuses(const std::vector<EndpointStatus>& list) override {
    return Rows(StatusRows(list));
  }
  Outcome Healths(const std::vector<EndpointHealth>& list) override {
    // etcdctl 3.4 writes both on stderr.
    for (const auto& h : list) {
      if (h.healthy) {
        fmt::print(stderr, "{} is healthy: successfully committed proposal: took = {}\n",
                   h.endpoint, GoDuration(h.took_nanos));
      } else {
        fmt::print(stderr, "{} is unhealthy: failed to commit proposal: {}\n", h.endpoint, h.error);
      }
    }
    return {};
  }
  Outcome Hashes(const std::vector<EndpointHash>& list) override {
    for (const auto& h : list) Line(fmt::format("{}, {}", h.endpoint, h.hash.hash()));
    return {};
  }
  Outcome Cluster(const coppice::ClusterStatusResponse& reply) override {
    fmt::print("{}", PlainTable(ClusterHeads(), ClusterRows(reply)));
    return {};
  }

  bool ValuesOnly() override { return values_only_ = true; }

 protected:
  Outcome Refuse() const override { return BadFeature("simple not supported as output format"); }

 private:
  void Kv(const mvccpb::KeyValue& kv) const {
    if (!values_only_) Line(hex_ ? HexEscape(kv.key()) : kv.key());
    Line(hex_ ? HexEscape(kv.value()) : kv.value());
  }
  static Outcome Rows(const std::vector<Row>& rows) {
    for (const Row& row : rows) Line(fmt::format("{}", fmt::join(row, ", ")));
    return {};
  }

  const bool hex_;
  bool values_only_ = false;
};

}  // namespace

std::unique_ptr<Printer> MakeSimplePrinter(bool hex) {
  return std::make_unique<SimplePrinter>(hex);
}

}  // namespace coppice::ctl
