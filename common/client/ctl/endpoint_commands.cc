#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "common/client/ctl/command.h"

namespace coppice::ctl {
namespace {

// The endpoints of an `endpoint` command: those of --endpoints, or with --cluster every member's.
class EndpointCommand : public Command {
 public:
  std::string usage() const override { return ""; }
  void AddFlags(FlagSet& flags) override {
    flags.Bool("cluster", &cluster_, "every client address of the member list");
  }

 protected:
  Outcome List(Context& context, std::vector<std::string>& out) const {
    out = context.session.endpoints();
    if (out.empty()) return BadArgs("--endpoints names none");
    if (!cluster_) return {};
    etcdserverpb::MemberListRequest request;
    etcdserverpb::MemberListResponse reply;
    request.set_linearizable(true);
    if (Outcome failed = context.session.Call(
            Kind::kRead, reply, [&](const Stubs& stubs, grpc::ClientContext& call, auto& out) {
              return stubs.cluster->MemberList(&call, request, &out);
            })) {
      return failed;
    }
    out.clear();
    for (const auto& member : reply.members()) {
      out.insert(out.end(), member.clienturls().begin(), member.clienturls().end());
    }
    return {};
  }

 private:
  bool cluster_ = false;
};

class StatusCommand final : public EndpointCommand {
 public:
  std::string name() const override { return "endpoint status"; }
  std::string summary() const override { return "Prints the status of each endpoint"; }
  Outcome Run(Context& context, const std::vector<std::string>&) override {
    std::vector<std::string> endpoints;
    if (Outcome failed = List(context, endpoints)) return failed;
    std::vector<EndpointStatus> list;
    for (const std::string& endpoint : endpoints) {
      EndpointStatus one{endpoint, {}};
      const Status status = context.session.CallAt(
          endpoint, one.status, [&](const Stubs& stubs, grpc::ClientContext& call, auto& reply) {
            return stubs.maintenance->Status(&call, {}, &reply);
          });
      if (status.ok()) {
        list.push_back(std::move(one));
      } else {
        fmt::print(stderr, "Failed to get the status of endpoint {} ({})\n", endpoint,
                   Explain(status));
      }
    }
    if (Outcome failed = context.printer.Statuses(list)) return failed;
    return list.size() == endpoints.size() ? Outcome() : Failure{kExitError, ""};
  }
};

class HealthCommand final : public EndpointCommand {
 public:
  std::string name() const override { return "endpoint health"; }
  std::string summary() const override { return "Checks that each endpoint answers a read"; }
  Outcome Run(Context& context, const std::vector<std::string>&) override {
    std::vector<std::string> endpoints;
    if (Outcome failed = List(context, endpoints)) return failed;
    std::vector<EndpointHealth> list;
    bool all = true;
    for (const std::string& endpoint : endpoints) {
      list.push_back(Check(context, endpoint));
      all = all && list.back().healthy;
    }
    if (Outcome failed = context.printer.Healths(list)) return failed;
    return all ? Outcome() : Error("unhealthy cluster");
  }

 private:
  // As etcdctl: a linearizable read of any key, which only a node with a quorum behind it answers.
  static EndpointHealth Check(Context& context, const std::string& endpoint) {
    etcdserverpb::RangeRequest request;
    etcdserverpb::RangeResponse reply;
    request.set_key("health");
    const auto begun = std::chrono::steady_clock::now();
    const Status status = context.session.CallAt(
        endpoint, reply, [&](const Stubs& stubs, grpc::ClientContext& call, auto& out) {
          return stubs.kv->Range(&call, request, &out);
        });
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
    const bool healthy = status.ok() || status.code() == StatusCode::kPermissionDenied;
    return {endpoint, healthy, took.count(), healthy ? "" : Explain(status)};
  }
};

class HashKvCommand final : public EndpointCommand {
 public:
  std::string name() const override { return "endpoint hashkv"; }
  std::string summary() const override { return "Prints the hash of each endpoint's history"; }
  void AddFlags(FlagSet& flags) override {
    EndpointCommand::AddFlags(flags);
    flags.Int("rev", &revision_, "hash up to this revision");
  }
  Outcome Run(Context& context, const std::vector<std::string>&) override {
    std::vector<std::string> endpoints;
    if (Outcome failed = List(context, endpoints)) return failed;
    etcdserverpb::HashKVRequest request;
    request.set_revision(revision_);
    std::vector<EndpointHash> list;
    Outcome worst;
    for (const std::string& endpoint : endpoints) {
      EndpointHash one{endpoint, {}};
      const Status status = context.session.CallAt(
          endpoint, one.hash, [&](const Stubs& stubs, grpc::ClientContext& call, auto& reply) {
            return stubs.maintenance->HashKV(&call, request, &reply);
          });
      if (status.ok()) {
        list.push_back(std::move(one));
      } else {
        worst = Error(Explain(status));
        fmt::print(stderr, "Failed to get the hash of endpoint {} ({})\n", endpoint,
                   Explain(status));
      }
    }
    if (Outcome failed = context.printer.Hashes(list)) return failed;
    return worst;
  }

 private:
  std::int64_t revision_ = 0;
};

}  // namespace

void AddEndpointCommands(Commands& out) {
  out.push_back(std::make_unique<StatusCommand>());
  out.push_back(std::make_unique<HealthCommand>());
  out.push_back(std::make_unique<HashKvCommand>());
}

}  // namespace coppice::ctl
