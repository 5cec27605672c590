#include <fmt/format.h>

#include "etcd/rpc.pb.h"
#include "loadgen/sim/checks/checks.h"

namespace coppice::sim {
namespace {

Acks AcksOf(const RunHistory& history) {
  Acks acks;
  for (const auto& op : history.ops) {
    if (op->outcome == Outcome::kOk) acks.Add(op->end, op->revision, {op.get(), nullptr});
  }
  for (const auto& stream : history.streams) {
    for (const WatchReply& reply : stream->replies) {
      acks.Add(reply.at, reply.header, {nullptr, stream.get()});
    }
  }
  acks.Seal();
  return acks;
}

Acks CompactionsOf(const RunHistory& history) {
  Acks acks;
  for (const auto& op : history.ops) {
    if (op->kind != OpKind::kCompact || op->outcome != Outcome::kOk) continue;
    etcdserverpb::CompactionRequest request;
    if (request.ParseFromString(op->request)) {
      acks.Add(op->end, request.revision(), {op.get(), nullptr});
    }
  }
  acks.Seal();
  return acks;
}

}  // namespace

std::vector<Violation> CheckRun(const RunHistory& history, const Aftermath& aftermath,
                                Coverage& coverage) {
  Findings findings(history);
  if (aftermath.logs.empty() || aftermath.logs[0].first != Index(1)) {
    findings.Add("U2", 0, "no surviving voter has the log from its beginning");
    return findings.Take();
  }
  const auto oracle = loadgen::Oracle::Replay(aftermath.logs[0].entries);
  if (!oracle.ok()) {
    findings.Add(
        "U4", 0,
        fmt::format("the log of {}: {}", aftermath.logs[0].name, MessageOf(oracle.status())));
    return findings.Take();
  }
  const Acks acks = AcksOf(history);
  const Acks compactions = CompactionsOf(history);
  const Evidence evidence{
      history, *oracle, acks, compactions, 1 / aftermath.clock_rate_min, aftermath.delivery_max};
  CheckOps(evidence, findings);
  CheckWatches(evidence, findings, coverage);
  CheckRegisters(evidence, findings);
  CheckStores(*oracle, aftermath, findings);
  return findings.Take();
}

}  // namespace coppice::sim
