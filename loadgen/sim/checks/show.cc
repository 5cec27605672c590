#include "loadgen/sim/checks/show.h"

#include <fmt/format.h>

#include <variant>

namespace coppice::sim {
namespace {

using mvcc::testing::ParseKv;
using mvcc::testing::ParseKvs;

std::string RangeText(std::int64_t count, bool more, const std::vector<Kv>& kvs) {
  std::string out = fmt::format("count {}{}", count, more ? " more" : "");
  for (const Kv& kv : kvs) out += " [" + Describe(kv) + "]";
  return out;
}

std::string PutText(const Kv* prev) {
  return prev == nullptr ? "put" : "put, was [" + Describe(*prev) + "]";
}

std::string DeleteText(std::int64_t deleted, const std::vector<Kv>& prev) {
  std::string out = fmt::format("deleted {}", deleted);
  for (const Kv& kv : prev) out += ", was [" + Describe(kv) + "]";
  return out;
}

std::string At(Revision revision, const std::string& text) {
  return fmt::format("{{@{} {}}} ", revision, text);
}

std::string Body(const mvcc::PutResult& put) {
  if (put.prev_kv.empty()) return PutText(nullptr);
  const Kv prev = ParseKv(put.prev_kv);
  return PutText(&prev);
}
std::string Body(const mvcc::DeleteResult& erase) {
  return DeleteText(erase.deleted, ParseKvs(erase.prev_kvs));
}

std::string Inside(const mvcc::OpResult& result) {
  if (const auto* range = std::get_if<mvcc::RangeResult>(&result)) {
    return At(range->revision, RangeText(range->count, range->more, ParseKvs(range->kvs)));
  }
  if (const auto* put = std::get_if<mvcc::PutResult>(&result)) return At(put->revision, Body(*put));
  if (const auto* erase = std::get_if<mvcc::DeleteResult>(&result)) {
    return At(erase->revision, Body(*erase));
  }
  return Show(*std::get<std::unique_ptr<mvcc::TxnResult>>(result));
}

std::string Inside(const etcdserverpb::ResponseOp& op) {
  switch (op.response_case()) {
    case etcdserverpb::ResponseOp::kResponseRange:
      return At(op.response_range().header().revision(), Show(op.response_range()));
    case etcdserverpb::ResponseOp::kResponsePut:
      return At(op.response_put().header().revision(), Show(op.response_put()));
    case etcdserverpb::ResponseOp::kResponseDeleteRange:
      return At(op.response_delete_range().header().revision(), Show(op.response_delete_range()));
    case etcdserverpb::ResponseOp::kResponseTxn:
      return Show(op.response_txn());
    default:
      return "nothing";
  }
}

std::vector<Kv> ToKvs(const google::protobuf::RepeatedPtrField<mvccpb::KeyValue>& in) {
  std::vector<Kv> out;
  out.reserve(static_cast<std::size_t>(in.size()));
  for (const mvccpb::KeyValue& kv : in) out.push_back(ToKv(kv));
  return out;
}

}  // namespace

Kv ToKv(const mvccpb::KeyValue& in) {
  return {in.key(), in.value(), in.create_revision(), in.mod_revision(), in.version(), in.lease()};
}

std::string Show(const mvcc::testing::Model::Answer& answer) {
  return RangeText(answer.count, answer.more, answer.kvs);
}
std::string Show(const etcdserverpb::RangeResponse& response) {
  return RangeText(response.count(), response.more(), ToKvs(response.kvs()));
}

std::string Show(const mvcc::CommandResult& result) {
  if (const auto* put = std::get_if<mvcc::PutResult>(&result.value)) return Body(*put);
  if (const auto* erase = std::get_if<mvcc::DeleteResult>(&result.value)) return Body(*erase);
  if (const auto* txn = std::get_if<mvcc::TxnResult>(&result.value)) return Show(*txn);
  return "done";
}
std::string Show(const mvcc::TxnResult& result) {
  std::string out = result.succeeded ? "succeeded: " : "failed: ";
  for (const mvcc::OpResult& inside : result.responses) out += Inside(inside);
  return out + ";";
}
std::string Show(const etcdserverpb::PutResponse& response) {
  if (!response.has_prev_kv()) return PutText(nullptr);
  const Kv prev = ToKv(response.prev_kv());
  return PutText(&prev);
}
std::string Show(const etcdserverpb::DeleteRangeResponse& response) {
  return DeleteText(response.deleted(), ToKvs(response.prev_kvs()));
}
std::string Show(const etcdserverpb::TxnResponse& response) {
  std::string out = response.succeeded() ? "succeeded: " : "failed: ";
  for (const etcdserverpb::ResponseOp& op : response.responses()) out += Inside(op);
  return out + ";";
}

}  // namespace coppice::sim
