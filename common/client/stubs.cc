#include "common/client/stubs.h"

#include <chrono>
#include <string_view>
#include <utility>

namespace coppice::client {
namespace {

constexpr int kReconnectMaxMs = 500;

// http://host:port -> host:port
std::string Target(std::string_view endpoint) {
  const std::size_t scheme = endpoint.find("://");
  if (scheme != std::string_view::npos) endpoint.remove_prefix(scheme + 3);
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  return std::string(endpoint);
}

std::shared_ptr<grpc::Channel> Connect(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // a range may be larger than gRPC's 4 MiB
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // What is sent again is the core's to decide.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // No proxy of the environment's: these are the cluster's own addresses, as etcdctl takes them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(Target(endpoint), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Stubs::Stubs(std::string address)
    : endpoint(std::move(address)),
      channel(Connect(endpoint)),
      kv(etcdserverpb::KV::NewStub(channel)),
      watch(etcdserverpb::Watch::NewStub(channel)),
      cluster(etcdserverpb::Cluster::NewStub(channel)),
      maintenance(etcdserverpb::Maintenance::NewStub(channel)),
      admin(coppice::Admin::NewStub(channel)) {}

bool Stubs::Connected(Micros patience) const {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::microseconds(patience);
  while (true) {
    const grpc_connectivity_state state = channel->GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    // Refused at once: no use in waiting for the next attempt.
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel->WaitForStateChange(state, deadline)) return false;
  }
}

}  // namespace coppice::client
