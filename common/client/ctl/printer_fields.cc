#include <fmt/format.h>

#include "common/client/ctl/printer.h"
#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

template <typename Value>
void Field(std::string_view name, const Value& value) {
  fmt::print("\"{}\" : {}\n", name, value);
}

class FieldsPrinter final : public Printer {
 public:
  Outcome Put(const etcdserverpb::PutResponse& reply) override {
    Header(reply.header());
    if (reply.has_prev_kv()) Kv("Prev", reply.prev_kv());
    return {};
  }
  Outcome Get(const etcdserverpb::RangeResponse& reply) override {
    Header(reply.header());
    for (const auto& kv : reply.kvs()) Kv("", kv);
    Field("More", reply.more());
    Field("Count", reply.count());
    return {};
  }
  Outcome Del(const etcdserverpb::DeleteRangeResponse& reply) override {
    Header(reply.header());
    Field("Deleted", reply.deleted());
    for (const auto& kv : reply.prev_kvs()) Kv("Prev", kv);
    return {};
  }
  Outcome Txn(const etcdserverpb::TxnResponse& reply) override {
    Header(reply.header());
    Field("Succeeded", reply.succeeded());
    for (const auto& op : reply.responses()) {
      if (op.has_response_range()) Get(op.response_range());
      if (op.has_response_put()) Put(op.response_put());
      if (op.has_response_delete_range()) Del(op.response_delete_range());
      if (op.has_response_txn()) Txn(op.response_txn());
    }
    return {};
  }
  Outcome Watch(const etcdserverpb::WatchResponse& reply) override {
    Header(reply.header());
    for (const auto& event : reply.events()) {
      Field("Type", event.type() == mvccpb::Event::PUT ? "PUT" : "DELETE");
      if (event.has_prev_kv()) Kv("Prev", event.prev_kv());
      Kv("", event.kv());
    }
    return {};
  }
  Outcome Members(const etcdserverpb::MemberListResponse& reply) override {
    Header(reply.header());
    for (const auto& member : reply.members()) {
      Field("ID", member.id());
      Field("Name", Quote(member.name()));
      for (const auto& url : member.peerurls()) Field("PeerURL", Quote(url));
      for (const auto& url : member.clienturls()) Field("ClientURL", Quote(url));
      Field("IsLearner", member.islearner());
      fmt::print("\n");
    }
    return {};
  }
  Outcome Statuses(const std::vector<EndpointStatus>& list) override {
    for (const auto& [endpoint, status] : list) {
      Header(status.header());
      Field("Version", Quote(status.version()));
      Field("DBSize", status.dbsize());
      Field("Leader", status.leader());
      Field("IsLearner", status.islearner());
      Field("RaftIndex", status.raftindex());
      Field("RaftTerm", status.raftterm());
      Field("RaftAppliedIndex", status.raftappliedindex());
      Field("Errors", fmt::format("[{}]", fmt::join(status.errors(), " ")));
      Field("Endpoint", Quote(endpoint));
      fmt::print("\n");
    }
    return {};
  }
  Outcome Healths(const std::vector<EndpointHealth>& list) override {
    for (const auto& h : list) {
      Field("Endpoint", Quote(h.endpoint));
      Field("Health", h.healthy);
      Field("Took", GoDuration(h.took_nanos));
      Field("Error", h.error);
      fmt::print("\n");
    }
    return {};
  }
  Outcome Hashes(const std::vector<EndpointHash>& list) override {
    for (const auto& h : list) {
      Header(h.hash.header());
      Field("Endpoint", Quote(h.endpoint));
      Field("Hash", h.hash.hash());
      fmt::print("\n");
    }
    return {};
  }

  bool ShowsCount() const override { return true; }

 protected:
  Outcome Refuse() const override { return BadFeature("fields not supported as output format"); }

 private:
  static void Header(const etcdserverpb::ResponseHeader& header) {
    Field("ClusterID", header.cluster_id());
    Field("MemberID", header.member_id());
    Field("Revision", header.revision());
    Field("RaftTerm", header.raft_term());
  }
  static void Kv(std::string_view prefix, const mvccpb::KeyValue& kv) {
    const auto name = [&](std::string_view field) { return fmt::format("{}{}", prefix, field); };
    Field(name("Key"), Quote(kv.key()));
    Field(name("CreateRevision"), kv.create_revision());
    Field(name("ModRevision"), kv.mod_revision());
    Field(name("Version"), kv.version());
    Field(name("Value"), Quote(kv.value()));
    Field(name("Lease"), kv.lease());
  }
};

}  // namespace

std::unique_ptr<Printer> MakeFieldsPrinter() {
  return std::make_unique<FieldsPrinter>();
}

}  // namespace coppice::ctl
