#include <google/protobuf/arena.h>

#include <memory>
#include <string>
#include <utility>

#include "common/api/errors.h"
#include "common/api/parse.h"
#include "common/api/validate.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

using Ops = google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>;

mvcc::RangeOp ToOp(const etcdserverpb::RangeRequest& in) {
  return {
      .range = mvcc::KeyRange::FromWire(in.key(), in.range_end()),
      .limit = std::max<std::int64_t>(0, in.limit()),
      .revision = in.revision(),  // a negative one may be refused, see mvcc's TxnRun
      .sort_order = static_cast<mvcc::SortOrder>(in.sort_order()),
      .sort_target = static_cast<mvcc::SortTarget>(in.sort_target()),
      .keys_only = in.keys_only(),
      .count_only = in.count_only(),
      .min_mod_revision = in.min_mod_revision(),
      .max_mod_revision = in.max_mod_revision(),
      .min_create_revision = in.min_create_revision(),
      .max_create_revision = in.max_create_revision(),
  };
}

mvcc::PutOp ToOp(etcdserverpb::PutRequest& in) {
  return {
      .key = std::move(*in.mutable_key()),
      .value = std::move(*in.mutable_value()),
      .lease = in.lease(),
      .prev_kv = in.prev_kv(),
      .ignore_value = in.ignore_value(),
      .ignore_lease = in.ignore_lease(),
  };
}

mvcc::DeleteOp ToOp(const etcdserverpb::DeleteRangeRequest& in) {
  return {.range = mvcc::KeyRange::FromWire(in.key(), in.range_end()), .prev_kv = in.prev_kv()};
}

Status ToOp(const etcdserverpb::Compare& in, mvcc::Compare& out) {
  if (!etcdserverpb::Compare::CompareTarget_IsValid(in.target())) {
    return MakeStatus(StatusCode::kInvalidArgument,
                      "etcdserver: unknown compare target " + std::to_string(in.target()));
  }
  if (!etcdserverpb::Compare::CompareResult_IsValid(in.result())) {
    return MakeStatus(StatusCode::kInvalidArgument,
                      "etcdserver: unknown compare result " + std::to_string(in.result()));
  }
  out.range = mvcc::KeyRange::FromWire(in.key(), in.range_end());
  out.target = static_cast<mvcc::CompareTarget>(in.target());
  out.result = static_cast<mvcc::CompareResult>(in.result());
  // The union may hold another field than the target names; that compares with the default.
  switch (out.target) {
    case mvcc::CompareTarget::kVersion:
      out.number = in.version();
      break;
    case mvcc::CompareTarget::kCreate:
      out.number = in.create_revision();
      break;
    case mvcc::CompareTarget::kMod:
      out.number = in.mod_revision();
      break;
    case mvcc::CompareTarget::kValue:
      out.value = in.value();
      break;
    case mvcc::CompareTarget::kLease:
      out.number = in.lease();
      break;
  }
  return OkStatus();
}

Status ToOp(etcdserverpb::TxnRequest& in, mvcc::TxnOp& out);

Status ToOps(Ops& in, std::vector<mvcc::Op>& out) {
  out.reserve(static_cast<std::size_t>(in.size()));
  for (auto& op : in) {
    if (op.has_request_range()) {
      out.emplace_back(ToOp(op.request_range()));
    } else if (op.has_request_put()) {
      out.emplace_back(ToOp(*op.mutable_request_put()));
    } else if (op.has_request_delete_range()) {
      out.emplace_back(ToOp(op.request_delete_range()));
    } else {
      auto nested = std::make_unique<mvcc::TxnOp>();
      COPPICE_RETURN_IF_ERROR(ToOp(*op.mutable_request_txn(), *nested));
      out.emplace_back(std::move(nested));
    }
  }
  return OkStatus();
}

Status ToOp(etcdserverpb::TxnRequest& in, mvcc::TxnOp& out) {
  out.compares.reserve(static_cast<std::size_t>(in.compare_size()));
  for (const auto& compare : in.compare()) {
    COPPICE_RETURN_IF_ERROR(ToOp(compare, out.compares.emplace_back()));
  }
  COPPICE_RETURN_IF_ERROR(ToOps(*in.mutable_success(), out.success));
  return ToOps(*in.mutable_failure(), out.failure);
}

}  // namespace

Status ParseTxn(std::string_view bytes, const Limits& limits, mvcc::TxnOp& out) {
  alignas(8) char first_block[4096];
  google::protobuf::Arena arena(first_block, sizeof(first_block));
  auto& request = *google::protobuf::Arena::CreateMessage<etcdserverpb::TxnRequest>(&arena);
  out = {};
  COPPICE_RETURN_IF_ERROR(ParseMessage(bytes, request));
  COPPICE_RETURN_IF_ERROR(CheckTxn(request, limits.txn_ops_max));
  return ToOp(request, out);
}

}  // namespace coppice::api
