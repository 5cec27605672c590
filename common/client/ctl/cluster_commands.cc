#include <fmt/format.h>

#include <algorithm>

#include "common/client/ctl/command.h"

namespace coppice::ctl {
namespace {

Outcome ListMembers(Context& context, bool linearizable, etcdserverpb::MemberListResponse& reply) {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(linearizable);
  return context.session.Call(Kind::kRead, reply,
                              [&](const Stubs& stubs, grpc::ClientContext& call, auto& out) {
                                return stubs.cluster->MemberList(&call, request, &out);
                              });
}

class MemberListCommand final : public Command {
 public:
  std::string name() const override { return "member list"; }
  std::string usage() const override { return ""; }
  std::string summary() const override { return "Lists the cluster's voters and learners"; }
  void AddFlags(FlagSet& flags) override {
    flags.Text("consistency", &consistency_, "linearizable (l, the default) or serializable (s)");
  }
  Outcome Run(Context& context, const std::vector<std::string>&) override {
    etcdserverpb::MemberListResponse reply;
    const bool linearizable = !consistency_.starts_with('s');
    if (Outcome failed = ListMembers(context, linearizable, reply)) return failed;
    return context.printer.Members(reply);
  }

 private:
  std::string consistency_ = "l";
};

class ClusterCommand final : public Command {
 public:
  std::string name() const override { return "cluster"; }
  std::string usage() const override { return ""; }
  std::string summary() const override {
    return "Shows all tiers: role, term, revision, lag, staleness, load";
  }
  Outcome Run(Context& context, const std::vector<std::string>&) override {
    coppice::ClusterStatusResponse reply;
    bool unknown = false;
    Outcome failed = context.session.Call(
        Kind::kRead, reply, [&](const Stubs& stubs, grpc::ClientContext& call, auto& out) {
          grpc::Status status = stubs.admin->ClusterStatus(&call, {}, &out);
          unknown = status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
          return status;
        });
    if (failed && unknown) failed = AskEach(context, reply);
    if (failed) return failed;
    if (!unknown) AskOthers(context, reply);
    Sort(reply);
    return context.printer.Cluster(reply);
  }

 private:
  // A node knows its own figures alone, so each row is what its node says of itself. A proxy passes
  // the call on: of it we learn that it answers. One that does not answer stays as unhealthy.
  static void AskOthers(Context& context, coppice::ClusterStatusResponse& reply) {
    for (coppice::Node& node : *reply.mutable_nodes()) {
      if (node.id() == reply.member_id() || node.client_urls().empty()) continue;
      coppice::ClusterStatusResponse own;
      const Status called = context.session.CallAt(
          node.client_urls(0), own, [&](const Stubs& stubs, grpc::ClientContext& call, auto& out) {
            return stubs.admin->ClusterStatus(&call, {}, &out);
          });
      if (node.role() == coppice::Node::PROXY) {
        node.set_healthy(called.ok());
        node.set_requests_per_second(-1);
        continue;
      }
      for (const coppice::Node& row : own.nodes()) {
        if (called.ok() && own.member_id() == node.id() && row.id() == node.id()) node = row;
      }
    }
  }

  // A server without our own call, such as etcd: what its members say of themselves.
  static Outcome AskEach(Context& context, coppice::ClusterStatusResponse& reply) {
    etcdserverpb::MemberListResponse members;
    if (Outcome failed = ListMembers(context, false, members)) return failed;
    reply.set_cluster_id(members.header().cluster_id());
    std::uint64_t furthest = 0;
    for (const auto& member : members.members()) {
      coppice::Node& node = *reply.add_nodes();
      node.set_name(member.name());
      node.set_id(member.id());
      node.set_role(member.islearner() ? coppice::Node::LEARNER : coppice::Node::VOTER);
      *node.mutable_client_urls() = member.clienturls();
      node.set_staleness_us(-1);
      node.set_requests_per_second(-1);
      etcdserverpb::StatusResponse status;
      if (member.clienturls().empty()) continue;
      const Status called =
          context.session.CallAt(member.clienturls(0), status,
                                 [&](const Stubs& stubs, grpc::ClientContext& call, auto& out) {
                                   return stubs.maintenance->Status(&call, {}, &out);
                                 });
      node.set_healthy(called.ok());
      node.set_is_leader(called.ok() && status.leader() == member.id());
      node.set_term(status.raftterm());
      node.set_revision(status.header().revision());
      node.set_applied_index(status.raftappliedindex());
      furthest = std::max({furthest, status.raftappliedindex(), status.raftindex()});
    }
    for (coppice::Node& node : *reply.mutable_nodes()) {
      if (node.healthy()) node.set_lag_entries(furthest - node.applied_index());
    }
    return {};
  }

  // By tier, then by name, v2 before v10.
  static void Sort(coppice::ClusterStatusResponse& reply) {
    std::sort(reply.mutable_nodes()->begin(), reply.mutable_nodes()->end(),
              [](const coppice::Node& a, const coppice::Node& b) {
                const auto key = [](const coppice::Node& n) {
                  return std::tuple(n.role(), n.name().size(), n.name());
                };
                return key(a) < key(b);
              });
  }
};

}  // namespace

void AddClusterCommands(Commands& out) {
  out.push_back(std::make_unique<MemberListCommand>());
  out.push_back(std::make_unique<ClusterCommand>());
}

}  // namespace coppice::ctl
