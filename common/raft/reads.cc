// Linearizable reads without the log (ReadIndex, thesis section 6.4). No leases: a leader that
// cannot reach a quorum answers no read.

#include <algorithm>

#include "common/base/mutant.h"
#include "common/raft/core_impl.h"

namespace coppice::raft {

void Core::Impl::On(const ReadIndexRequest& input) {
  Leader* leads = leader();
  if (leads == nullptr) {
    out_->reads_refused.push_back({input.id});
    return;
  }
  if (commit_ < leads->term_start && !COPPICE_MUTANT(kSkipOwnTermCheck)) {
    leads->reads.Hold(input.id);
    return;
  }
  leads->reads.Begin(input.id, commit_);
  ProbeQuorum(*leads);
}

void Core::Impl::ReleaseHeldReads(Leader& leads) {
  if (!leads.reads.holding() || commit_ < leads.term_start) return;
  leads.reads.Release(commit_);
  ProbeQuorum(leads);
}

void Core::Impl::ProbeQuorum(Leader& leads) {
  // Those who answer soonest; the rest is spared the work unless one of them fails.
  std::vector<std::pair<Micros, NodeId>> voters;
  for (const auto& [id, peer] : leads.peers) {
    if (IsVoter(configuration(), id)) voters.emplace_back(peer.ResponseTime(now_), id);
  }
  std::sort(voters.begin(), voters.end());
  std::size_t asked = 0;
  const auto in_quorum = [&](NodeId id) {
    const auto end = voters.begin() + static_cast<std::ptrdiff_t>(asked);
    return id == config_.id ||
           std::find_if(voters.begin(), end, [id](const auto& v) { return v.second == id; }) != end;
  };
  Micros slowest = 0;
  while (asked < voters.size() && !IsQuorum(configuration(), in_quorum)) {
    Progress& peer = leads.peers.at(voters[asked].second);
    slowest = std::max(slowest, peer.srtt);
    SendEmpty(leads, voters[asked].second, peer);
    ++asked;
  }
  if (asked < voters.size()) {
    leads.probe_rest_at =
        std::min(leads.probe_rest_at, now_ + std::max<Micros>(kMillisecond, 4 * slowest));
  }
  ConfirmReads(leads);
}

void Core::Impl::ProbeRest(Leader& leads) {
  leads.probe_rest_at = kNever;
  if (!leads.reads.waiting()) return;
  for (auto& [id, peer] : leads.peers) {
    if (peer.sent_round < leads.reads.round() && IsVoter(configuration(), id)) {
      SendEmpty(leads, id, peer);
    }
  }
}

void Core::Impl::ConfirmReads(Leader& leads) {
  if (!leads.reads.waiting()) return;
  const std::uint64_t confirmed = QuorumValue(configuration(), [&](NodeId id) -> std::uint64_t {
    if (id == config_.id) return leads.reads.round();
    const auto peer = leads.peers.find(id);
    return peer == leads.peers.end() ? 0 : peer->second.echo;
  });
  leads.reads.Confirm(confirmed, out_->reads);
  if (!leads.reads.waiting()) leads.probe_rest_at = kNever;
}

}  // namespace coppice::raft
