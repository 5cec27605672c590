#pragma once

#include <string>

#include "common/mvcc/ops.h"
#include "common/mvcc/testing/model.h"
#include "etcd/rpc.pb.h"
#include "loadgen/sim/clients/record.h"

// All that a client can see of a response's body, as text that is equal for a response and for the
// oracle's result exactly if they say the same.
namespace coppice::sim {

Kv ToKv(const mvccpb::KeyValue& in);

std::string Show(const mvcc::testing::Model::Answer& answer);
std::string Show(const etcdserverpb::RangeResponse& response);

std::string Show(const mvcc::CommandResult& result);
std::string Show(const mvcc::TxnResult& result);
std::string Show(const etcdserverpb::PutResponse& response);
std::string Show(const etcdserverpb::DeleteRangeResponse& response);
std::string Show(const etcdserverpb::TxnResponse& response);

}  // namespace coppice::sim
