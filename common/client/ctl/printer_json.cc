#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/client/ctl/printer.h"
#include "common/client/ctl/text.h"

// Go's JSON of etcd's messages: fields in the order of their numbers, absent when zero, bytes in
// base64.

namespace coppice::ctl {
namespace {

using Json = nlohmann::ordered_json;

template <typename Number>
void Set(Json& out, const char* name, Number value) {
  if (value != Number()) out[name] = value;
}
void SetBytes(Json& out, const char* name, const std::string& bytes) {
  if (!bytes.empty()) out[name] = Base64(bytes);
}
void SetText(Json& out, const char* name, const std::string& text) {
  if (!text.empty()) out[name] = text;
}
template <typename Strings>
void SetTexts(Json& out, const char* name, const Strings& texts) {
  for (const auto& text : texts) out[name].push_back(text);
}

Json ToJson(const etcdserverpb::ResponseHeader& header) {
  Json out = Json::object();
  Set(out, "cluster_id", header.cluster_id());
  Set(out, "member_id", header.member_id());
  Set(out, "revision", header.revision());
  Set(out, "raft_term", header.raft_term());
  return out;
}

Json ToJson(const mvccpb::KeyValue& kv) {
  Json out = Json::object();
  SetBytes(out, "key", kv.key());
  Set(out, "create_revision", kv.create_revision());
  Set(out, "mod_revision", kv.mod_revision());
  Set(out, "version", kv.version());
  SetBytes(out, "value", kv.value());
  Set(out, "lease", kv.lease());
  return out;
}

template <typename Reply>
Json WithHeader(const Reply& reply) {
  Json out = Json::object();
  if (reply.has_header()) out["header"] = ToJson(reply.header());
  return out;
}

Json ToJson(const etcdserverpb::PutResponse& reply) {
  Json out = WithHeader(reply);
  if (reply.has_prev_kv()) out["prev_kv"] = ToJson(reply.prev_kv());
  return out;
}

Json ToJson(const etcdserverpb::RangeResponse& reply) {
  Json out = WithHeader(reply);
  for (const auto& kv : reply.kvs()) out["kvs"].push_back(ToJson(kv));
  Set(out, "more", reply.more());
  Set(out, "count", reply.count());
  return out;
}

Json ToJson(const etcdserverpb::DeleteRangeResponse& reply) {
  Json out = WithHeader(reply);
  Set(out, "deleted", reply.deleted());
  for (const auto& kv : reply.prev_kvs()) out["prev_kvs"].push_back(ToJson(kv));
  return out;
}

Json ToJson(const etcdserverpb::TxnResponse& reply) {
  Json out = WithHeader(reply);
  Set(out, "succeeded", reply.succeeded());
  for (const auto& op : reply.responses()) {
    Json one = Json::object();
    if (op.has_response_range()) one["ResponseRange"] = ToJson(op.response_range());
    if (op.has_response_put()) one["ResponsePut"] = ToJson(op.response_put());
    if (op.has_response_delete_range()) {
      one["ResponseDeleteRange"] = ToJson(op.response_delete_range());
    }
    if (op.has_response_txn()) one["ResponseTxn"] = ToJson(op.response_txn());
    out["responses"].push_back({{"Response", one}});
  }
  return out;
}

Json ToJson(const etcdserverpb::WatchResponse& reply) {
  Json out = {{"Header", ToJson(reply.header())}, {"Events", Json::array()}};
  for (const auto& event : reply.events()) {
    Json one = Json::object();
    Set(one, "type", static_cast<int>(event.type()));
    if (event.has_kv()) one["kv"] = ToJson(event.kv());
    if (event.has_prev_kv()) one["prev_kv"] = ToJson(event.prev_kv());
    out["Events"].push_back(one);
  }
  out["CompactRevision"] = reply.compact_revision();
  out["Canceled"] = reply.canceled();
  out["Created"] = reply.created();
  return out;
}

Json ToJson(const etcdserverpb::MemberListResponse& reply) {
  Json out = WithHeader(reply);
  for (const auto& member : reply.members()) {
    Json one = Json::object();
    Set(one, "ID", member.id());
    SetText(one, "name", member.name());
    SetTexts(one, "peerURLs", member.peerurls());
    SetTexts(one, "clientURLs", member.clienturls());
    Set(one, "isLearner", member.islearner());
    out["members"].push_back(one);
  }
  return out;
}

Json ToJson(const etcdserverpb::StatusResponse& reply) {
  Json out = WithHeader(reply);
  SetText(out, "version", reply.version());
  Set(out, "dbSize", reply.dbsize());
  Set(out, "leader", reply.leader());
  Set(out, "raftIndex", reply.raftindex());
  Set(out, "raftTerm", reply.raftterm());
  Set(out, "raftAppliedIndex", reply.raftappliedindex());
  SetTexts(out, "errors", reply.errors());
  Set(out, "dbSizeInUse", reply.dbsizeinuse());
  Set(out, "isLearner", reply.islearner());
  SetText(out, "storageVersion", reply.storageversion());
  Set(out, "dbSizeQuota", reply.dbsizequota());
  return out;
}

Json ToJson(const coppice::Node& node) {
  Json urls = Json::array();
  for (const auto& url : node.client_urls()) urls.push_back(url);
  return {{"name", node.name()},
          {"id", node.id()},
          {"role", coppice::Node::Role_Name(node.role())},
          {"is_leader", node.is_leader()},
          {"client_urls", urls},
          {"term", node.term()},
          {"revision", node.revision()},
          {"applied_index", node.applied_index()},
          {"lag_entries", node.lag_entries()},
          {"staleness_us", node.staleness_us()},
          {"requests_per_second", node.requests_per_second()},
          {"healthy", node.healthy()},
          {"parent", node.parent()}};
}

Outcome Show(const Json& json) {
  fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
  return {};
}

class JsonPrinter final : public Printer {
 public:
  Outcome Put(const etcdserverpb::PutResponse& reply) override { return Show(ToJson(reply)); }
  Outcome Get(const etcdserverpb::RangeResponse& reply) override { return Show(ToJson(reply)); }
  Outcome Del(const etcdserverpb::DeleteRangeResponse& reply) override {
    return Show(ToJson(reply));
  }
  Outcome Txn(const etcdserverpb::TxnResponse& reply) override { return Show(ToJson(reply)); }
  Outcome Watch(const etcdserverpb::WatchResponse& reply) override { return Show(ToJson(reply)); }
  Outcome Members(const etcdserverpb::MemberListResponse& reply) override {
    return Show(ToJson(reply));
  }
  Outcome Statuses(const std::vector<EndpointStatus>& list) override {
    Json out = Json::array();
    for (const auto& s : list) {
      out.push_back({{"Endpoint", s.endpoint}, {"Status", ToJson(s.status)}});
    }
    return Show(out);
  }
  Outcome Healths(const std::vector<EndpointHealth>& list) override {
    Json out = Json::array();
    for (const auto& h : list) {
      Json one = {
          {"endpoint", h.endpoint}, {"health", h.healthy}, {"took", GoDuration(h.took_nanos)}};
      SetText(one, "error", h.error);
      out.push_back(one);
    }
    return Show(out);
  }
  Outcome Hashes(const std::vector<EndpointHash>& list) override {
    Json out = Json::array();
    for (const auto& h : list) {
      Json hash = WithHeader(h.hash);
      Set(hash, "hash", h.hash.hash());
      Set(hash, "compact_revision", h.hash.compact_revision());
      Set(hash, "hash_revision", h.hash.hash_revision());
      out.push_back({{"Endpoint", h.endpoint}, {"HashKV", hash}});
    }
    return Show(out);
  }
  Outcome Cluster(const coppice::ClusterStatusResponse& reply) override {
    Json nodes = Json::array();
    for (const auto& node : reply.nodes()) nodes.push_back(ToJson(node));
    return Show({{"cluster_id", reply.cluster_id()}, {"nodes", nodes}});
  }

  bool ShowsCount() const override { return true; }

 protected:
  Outcome Refuse() const override { return BadFeature("json not supported as output format"); }
};

}  // namespace

std::unique_ptr<Printer> MakeJsonPrinter() {
  return std::make_unique<JsonPrinter>();
}

}  // namespace coppice::ctl
