// Configurations (thesis chapter 4) and handing over leadership (section 3.10).

#include <algorithm>

#include "common/base/check.h"
#include "common/raft/core_impl.h"

namespace coppice::raft {

void Core::Impl::ConfigurationAppended(const Entry& entry) {
  Configuration next;
  COPPICE_CHECK(DecodeConfiguration(entry.payload(), next), "only leaders encode configurations");
  configurations_.emplace_back(entry.index(), std::move(next));
  ConfigurationChanged();
}

void Core::Impl::ConfigurationsTruncated(Index first) {
  while (configurations_.size() > 1 && configurations_.back().first >= first) {
    configurations_.pop_back();
  }
}

void Core::Impl::ConfigurationChanged() {
  Leader* leads = leader();
  if (leads == nullptr) return;
  std::erase_if(leads->peers,
                [this](const auto& peer) { return !IsMember(configuration(), peer.first); });
  for (const NodeId id : MembersOf(configuration())) {
    if (id != config_.id) leads->peers.try_emplace(id, log_.last_index() + 1, now_);
  }
}

void Core::Impl::On(const ChangeConfig& input) {
  Leader* leads = leader();
  if (leads == nullptr || leads->transfer) {
    Answer(input.token, NotLeader{leads == nullptr ? LeaderId() : NodeId(0)});
    return;
  }
  // Section 4.1 and its erratum: one change at a time, and none before an entry of this term is
  // committed, or two configurations without a common quorum could both be in force.
  const bool pending = configurations_.back().first > commit_ || commit_ < leads->term_start;
  if (pending || !IsSafeChange(configuration(), input.configuration)) {
    Answer(input.token, Busy{});
    return;
  }
  Proposal proposal;
  proposal.token = input.token;
  proposal.kind = RecordKind::kConfiguration;
  proposal.payload = EncodeConfiguration(input.configuration);
  proposal.payload_crc = Entry::PayloadCrc(proposal.payload);
  AcceptProposal(*leads, proposal);
  SendEntriesToAll(*leads);
}

void Core::Impl::ConfigurationCommitted(Leader& leads) {
  while (configurations_.size() > 1 && configurations_[1].first <= commit_) {
    configurations_.pop_front();
  }
  // Section 4.2.2: a leader that is no longer a voter leaves once that is committed. The peers
  // are told first, or they could only learn it by an election.
  if (configurations_.size() == 1 && !CanCampaign()) {
    TellCommit(leads, /*at_once=*/true);
    BecomeFollower(term_, NodeId(0));
  }
}

void Core::Impl::On(const TransferLeadership& input) {
  if (Leader* leads = leader()) StartTransfer(*leads, input.to);
}

void Core::Impl::On(const ResignLeadership&) {
  Leader* leads = leader();
  if (leads == nullptr || leads->transfer) return;
  NodeId best;
  for (const auto& [id, peer] : leads->peers) {
    // One that is gone would not take over, and writes are refused until that is clear.
    if (!IsVoter(configuration(), id) || now_ - peer.contact >= config_.election_timeout) continue;
    if (best == NodeId(0) || peer.match() > leads->peers.at(best).match()) best = id;
  }
  if (best != NodeId(0)) StartTransfer(*leads, best);
}

void Core::Impl::StartTransfer(Leader& leads, NodeId to) {
  const auto peer = leads.peers.find(to);
  if (peer == leads.peers.end() || !IsVoter(configuration(), to)) return;
  leads.transfer = Transfer{to, now_ + config_.election_timeout};
  ContinueTransfer(leads, to, peer->second);
}

void Core::Impl::ContinueTransfer(Leader& leads, NodeId from, const Progress& peer) {
  if (!leads.transfer || leads.transfer->told || leads.transfer->to != from) return;
  if (peer.match() < log_.last_index()) return;
  leads.transfer->told = true;
  SendNow(from, TimeoutNow{term_});
}

void Core::Impl::On(NodeId from, const TimeoutNow&) {
  Follower* follows = follower();
  if (follows == nullptr || follows->leader != from || !CanCampaign()) return;
  BecomeCandidate(/*transfer=*/true);
}

}  // namespace coppice::raft
