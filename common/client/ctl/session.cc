#include "common/client/ctl/session.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <string_view>
#include <utility>

namespace coppice::ctl {
namespace {

using Clock = std::chrono::system_clock;

std::vector<std::string> SplitEndpoints(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) out.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return out;
}

// http://host:port -> host:port
std::string Target(std::string_view endpoint) {
  const std::size_t scheme = endpoint.find("://");
  if (scheme != std::string_view::npos) endpoint.remove_prefix(scheme + 3);
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  return std::string(endpoint);
}

std::string Trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  return found == trailers.end() ? "-" : std::string(found->second.data(), found->second.size());
}

}  // namespace

Session::Session(const Options& options)
    : options_(options), endpoints_(SplitEndpoints(options.endpoints)) {}

Stubs& Session::At(const std::string& endpoint) {
  Stubs& stubs = stubs_[endpoint];
  if (stubs.channel) return stubs;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // a range may be larger than gRPC's 4 MiB
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  // No proxy of the environment's: these are the cluster's own addresses, as etcdctl takes them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  stubs.endpoint = endpoint;
  stubs.channel =
      grpc::CreateCustomChannel(Target(endpoint), grpc::InsecureChannelCredentials(), arguments);
  stubs.kv = etcdserverpb::KV::NewStub(stubs.channel);
  stubs.watch = etcdserverpb::Watch::NewStub(stubs.channel);
  stubs.cluster = etcdserverpb::Cluster::NewStub(stubs.channel);
  stubs.maintenance = etcdserverpb::Maintenance::NewStub(stubs.channel);
  stubs.admin = coppice::Admin::NewStub(stubs.channel);
  return stubs;
}

bool Session::Connected(Stubs& stubs) const {
  const auto deadline = Clock::now() + std::chrono::microseconds(options_.dial_timeout);
  while (true) {
    const grpc_connectivity_state state = stubs.channel->GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    // Refused at once: no use in waiting for the next attempt.
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!stubs.channel->WaitForStateChange(state, deadline)) return false;
  }
}

void Session::Describe(grpc::ClientContext& context) const {
  if (!options_.consistency.empty()) {
    context.AddMetadata("coppice-consistency", options_.consistency);
  }
  if (!options_.max_staleness.empty()) {
    context.AddMetadata("coppice-max-staleness", options_.max_staleness);
  }
  if (!options_.min_revision.empty()) {
    context.AddMetadata("coppice-min-revision", options_.min_revision);
  } else if (options_.show_served) {
    // Any coppice-* metadata asks for the trailers, and this one asks for nothing else.
    context.AddMetadata("coppice-min-revision", "0");
  }
}

void Session::ShowServed(const grpc::ClientContext& context) const {
  if (!options_.show_served) return;
  fmt::print(stderr, "served by {}, consistency {}, staleness {}\n",
             Trailer(context, "coppice-served-by"), Trailer(context, "coppice-served-consistency"),
             Trailer(context, "coppice-staleness"));
}

grpc::Status Session::Invoke(Stubs& stubs, const Unary& unary) const {
  grpc::ClientContext context;
  context.set_deadline(Clock::now() + std::chrono::microseconds(options_.command_timeout));
  Describe(context);
  grpc::Status status = unary(stubs, context);
  if (status.ok()) ShowServed(context);
  return status;
}

grpc::Status Session::CallAt(const std::string& endpoint, const Unary& unary) {
  Stubs& stubs = At(endpoint);
  if (!Connected(stubs)) {
    return {grpc::StatusCode::DEADLINE_EXCEEDED, "cannot connect"};
  }
  return Invoke(stubs, unary);
}

Stubs* Session::Connect(std::size_t first, Failure& failed) {
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    Stubs& stubs = At(endpoints_[(first + i) % endpoints_.size()]);
    if (Connected(stubs)) return &stubs;
  }
  failed = {kExitBadConnection,
            endpoints_.empty()
                ? "--endpoints names none"
                : fmt::format("cannot connect to any of {} within {}; is the server running?",
                              options_.endpoints,
                              fmt::format("{:g}s", static_cast<double>(options_.dial_timeout) /
                                                       static_cast<double>(kSecond)))};
  return nullptr;
}

Outcome Session::Call(Kind kind, const Unary& unary) {
  Failure failed;
  for (std::size_t i = 0; i < std::max<std::size_t>(endpoints_.size(), 1); ++i) {
    Stubs* stubs = Connect(i, failed);
    if (!stubs) return failed;
    const grpc::Status status = Invoke(*stubs, unary);
    if (status.ok()) return {};
    failed = Error(Explain(status));
    if (kind == Kind::kWrite || status.error_code() != grpc::StatusCode::UNAVAILABLE) break;
  }
  return failed;
}

std::string Explain(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      // etcdctl says the same, whether client or server ran out of time.
      return "context deadline exceeded";
    case grpc::StatusCode::UNIMPLEMENTED:
      return status.error_message().empty() ? "the server does not have this call"
                                            : status.error_message();
    default:
      return status.error_message().empty()
                 ? fmt::format("gRPC code {}", static_cast<int>(status.error_code()))
                 : status.error_message();
  }
}

}  // namespace coppice::ctl
