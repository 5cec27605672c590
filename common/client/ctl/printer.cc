#include "common/client/ctl/printer.h"

#include <fmt/format.h>

#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

template <typename Strings>
std::string Join(const Strings& strings, std::string_view between) {
  std::string out;
  for (const auto& s : strings) out += (out.empty() ? "" : std::string(between)) + s;
  return out;
}

std::string RoleName(coppice::Node::Role role) {
  switch (role) {
    case coppice::Node::VOTER:
      return "voter";
    case coppice::Node::LEARNER:
      return "learner";
    case coppice::Node::PROXY:
      return "proxy";
    default:
      return "unknown";
  }
}

class TablePrinter final : public Printer {
 public:
  Outcome Members(const etcdserverpb::MemberListResponse& reply) override {
    return Show(MemberHeads(), MemberRows(reply));
  }
  Outcome Statuses(const std::vector<EndpointStatus>& list) override {
    return Show(StatusHeads(), StatusRows(list));
  }
  Outcome Healths(const std::vector<EndpointHealth>& list) override {
    std::vector<Row> rows;
    rows.reserve(list.size());
    for (const auto& h : list) {
      rows.push_back({h.endpoint, h.healthy ? "true" : "false", GoDuration(h.took_nanos), h.error});
    }
    return Show({"endpoint", "health", "took", "error"}, rows);
  }
  Outcome Hashes(const std::vector<EndpointHash>& list) override {
    std::vector<Row> rows;
    rows.reserve(list.size());
    for (const auto& h : list) rows.push_back({h.endpoint, std::to_string(h.hash.hash())});
    return Show({"endpoint", "hash"}, rows);
  }
  Outcome Cluster(const coppice::ClusterStatusResponse& reply) override {
    return Show(ClusterHeads(), ClusterRows(reply));
  }

 protected:
  Outcome Refuse() const override { return BadFeature("table not supported as output format"); }

 private:
  static Outcome Show(const Row& heads, const std::vector<Row>& rows) {
    fmt::print("{}", BorderedTable(heads, rows));
    return {};
  }
};

}  // namespace

const Row& MemberHeads() {
  static const Row kHeads = {"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"};
  return kHeads;
}

std::vector<Row> MemberRows(const etcdserverpb::MemberListResponse& reply) {
  std::vector<Row> rows;
  for (const auto& m : reply.members()) {
    rows.push_back({fmt::format("{:x}", m.id()), m.name().empty() ? "unstarted" : "started",
                    m.name(), Join(m.peerurls(), ","), Join(m.clienturls(), ","),
                    m.islearner() ? "true" : "false"});
  }
  return rows;
}

const Row& StatusHeads() {
  static const Row kHeads = {"endpoint",           "ID",         "version",   "db size",
                             "is leader",          "is learner", "raft term", "raft index",
                             "raft applied index", "errors"};
  return kHeads;
}

std::vector<Row> StatusRows(const std::vector<EndpointStatus>& list) {
  std::vector<Row> rows;
  for (const auto& [endpoint, s] : list) {
    rows.push_back({endpoint, fmt::format("{:x}", s.header().member_id()), s.version(),
                    HumanBytes(static_cast<std::uint64_t>(s.dbsize())),
                    s.leader() == s.header().member_id() ? "true" : "false",
                    s.islearner() ? "true" : "false", std::to_string(s.raftterm()),
                    std::to_string(s.raftindex()), std::to_string(s.raftappliedindex()),
                    Join(s.errors(), ", ")});
  }
  return rows;
}

const Row& ClusterHeads() {
  static const Row kHeads = {"name",     "role", "ID",        "address",    "term",
                             "revision", "lag",  "staleness", "requests/s", "health"};
  return kHeads;
}

std::vector<Row> ClusterRows(const coppice::ClusterStatusResponse& reply) {
  std::vector<Row> rows;
  for (const auto& node : reply.nodes()) {
    const bool stores = node.role() != coppice::Node::PROXY;
    rows.push_back(
        {node.name(), node.is_leader() ? "leader" : RoleName(node.role()),
         fmt::format("{:x}", node.id()), Join(node.client_urls(), ","),
         stores ? std::to_string(node.term()) : "-", stores ? std::to_string(node.revision()) : "-",
         stores ? std::to_string(node.lag_entries()) : "-",
         !stores || node.staleness_us() < 0
             ? "-"
             : fmt::format("{:.1f}ms", static_cast<double>(node.staleness_us()) / 1000),
         node.requests_per_second() < 0 ? "-" : fmt::format("{:.0f}", node.requests_per_second()),
         node.healthy() ? "ok" : "unreachable"});
  }
  return rows;
}

std::unique_ptr<Printer> MakeTablePrinter() {
  return std::make_unique<TablePrinter>();
}

std::unique_ptr<Printer> MakePrinter(const std::string& format, bool hex) {
  if (format == "simple") return MakeSimplePrinter(hex);
  if (format == "fields") return MakeFieldsPrinter();
  if (format == "json") return MakeJsonPrinter();
  if (format == "table") return MakeTablePrinter();
  return nullptr;
}

}  // namespace coppice::ctl
