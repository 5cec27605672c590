#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "common/base/time.h"
#include "coppice.grpc.pb.h"
#include "etcd/rpc.grpc.pb.h"

namespace coppice::client {

// The connection to one endpoint. Thread: any. Connects when it is first used.
struct Stubs {
  explicit Stubs(std::string address);

  // Whether it is connected, after `patience` at most; false at once where it is refused.
  bool Connected(Micros patience) const;
  bool connected_now() const { return channel->GetState(false) == GRPC_CHANNEL_READY; }

  std::string endpoint;  // as given: host:port, or http://host:port
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Cluster::Stub> cluster;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
  std::unique_ptr<coppice::Admin::Stub> admin;
};

}  // namespace coppice::client
