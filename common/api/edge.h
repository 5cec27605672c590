#pragma once

#include <memory>
#include <vector>

#include "common/api/edge_call.h"
#include "common/api/limits.h"
#include "common/api/node.h"
#include "common/base/consistency.h"
#include "common/base/time.h"
#include "common/io/loop.h"
#include "common/rpc/server.h"

namespace coppice::api {

class Health;

struct EdgeOptions {
  Limits limits;
  std::vector<Consistency> listener_defaults;  // by rpc::Call::listener(); missing: linearizable
  Micros timeout = 7 * kSecond;                // of calls without a deadline, as etcd's
  EdgeObserver* observer = nullptr;            // outlives the edge
};

// Where clients' gRPC calls become requests to a node, and its answers responses: consistency from
// metadata, flag and listener; the size limit; the default deadline ("etcdserver: request timed
// out"); trailers for those who sent coppice-* metadata. One per loop, over that loop's node.
//
//   api::Edge edge(node, loop, options);
//   rpc::Server server(loop, {}, edge.Methods(&watch, health), http);
//
// Outlives the server. Repliers may outlive the edge. Thread: the loop's.
class Edge {
 public:
  Edge(Node& node, io::Loop& loop, EdgeOptions options);
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  // Every RPC there is. Unbuilt ones answer Unimplemented, as do watches where `watch` is null.
  std::vector<rpc::MethodSpec> Methods(rpc::CallHandler* watch, Health& health);

  // Fails the calls whose default deadline is at or before `now`. The edge's own timer does this.
  void Expire(Time now);

 private:
  class Unary;
  class Unbuilt;

  void Serve(const MethodInfo& info, rpc::Call& call, std::string_view message);
  Status Resolve(const MethodInfo& info, rpc::Call& call, std::string_view message,
                 Consistency& out) const;
  void ArmTimer();

  Node& node_;
  io::Loop& loop_;
  const EdgeOptions options_;
  std::vector<std::unique_ptr<rpc::CallHandler>> handlers_;
  PendingCalls pending_;
  bool armed_ = false;
  io::Loop::TimerId timer_ = 0;
};

}  // namespace coppice::api
