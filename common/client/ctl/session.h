#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/client/ctl/exit.h"
#include "coppice.grpc.pb.h"
#include "etcd/rpc.grpc.pb.h"

namespace coppice::ctl {

// What every command shares.
struct Options {
  std::string endpoints = "127.0.0.1:2379";
  Micros dial_timeout = 2 * kSecond;
  Micros command_timeout = 5 * kSecond;
  std::string write_out = "simple";
  bool hex = false;
  bool show_served = false;
  // As docs/consistency.md says; empty: not sent. The server checks them.
  std::string consistency;
  std::string max_staleness;
  std::string min_revision;
};

struct Stubs {
  std::string endpoint;  // as given
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Cluster::Stub> cluster;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
  std::unique_ptr<coppice::Admin::Stub> admin;
};

// Connections to the endpoints, and calls over them. Thread: one; calls block.
//
// A call goes to the first endpoint that can be connected to, in the order given. A read that meets
// Unavailable there is tried at the next. A write is sent once: only an endpoint that never got it
// is passed over.
class Session {
 public:
  explicit Session(const Options& options);

  const std::vector<std::string>& endpoints() const { return endpoints_; }

  enum class Kind { kRead, kWrite };
  using Unary = std::function<grpc::Status(Stubs&, grpc::ClientContext&)>;
  Outcome Call(Kind kind, const Unary& unary);
  // To this endpoint alone.
  grpc::Status CallAt(const std::string& endpoint, const Unary& unary);

  // Connected, or null with `failed` set. Tries from `first` on, round the list.
  Stubs* Connect(std::size_t first, Failure& failed);
  // Sets the metadata of the consistency flags.
  void Describe(grpc::ClientContext& context) const;
  // Prints the reply's coppice-* trailers on stderr, if --show-served asks for it.
  void ShowServed(const grpc::ClientContext& context) const;

 private:
  Stubs& At(const std::string& endpoint);
  bool Connected(Stubs& stubs) const;
  grpc::Status Invoke(Stubs& stubs, const Unary& unary) const;

  const Options& options_;
  std::vector<std::string> endpoints_;
  std::map<std::string, Stubs> stubs_;
};

// etcd's message for the user; what etcdctl says where gRPC has words of its own.
std::string Explain(const grpc::Status& status);

}  // namespace coppice::ctl
