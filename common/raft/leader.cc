// Replication and commit (thesis sections 3.5, 3.6, 6.2, 10.2).

#include <algorithm>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/raft/core_impl.h"

namespace coppice::raft {
namespace {

// How long peers may go without the commit index while appends are under way that could carry it.
constexpr Micros kCommitDelayMax = kMillisecond;

}  // namespace

Time Core::Impl::QuorumContact(const Leader& leads) const {
  return static_cast<Time>(QuorumValue(configuration(), [&](NodeId id) -> std::uint64_t {
    if (id == config_.id) return static_cast<std::uint64_t>(now_);
    const auto peer = leads.peers.find(id);
    return peer == leads.peers.end() ? 0 : static_cast<std::uint64_t>(peer->second.contact);
  }));
}

Time Core::Impl::LeaderDeadline(const Leader& leads) const {
  Time deadline = std::min({leads.heartbeat_at, leads.commit_due, leads.probe_rest_at});
  if (leads.transfer) deadline = std::min(deadline, leads.transfer->abort_at);
  if (leads.peers.empty()) return deadline;
  return std::min(deadline, QuorumContact(leads) + config_.election_timeout);
}

void Core::Impl::LeaderTimer(Leader& leads) {
  // Thesis section 6.2: a leader that a quorum no longer answers steps down, so that its clients
  // look for another.
  if (!leads.peers.empty() && now_ >= QuorumContact(leads) + config_.election_timeout) {
    BecomeFollower(term_, NodeId(0));
    return;
  }
  if (leads.transfer && now_ >= leads.transfer->abort_at) leads.transfer.reset();
  if (now_ >= leads.probe_rest_at) ProbeRest(leads);
  if (now_ >= leads.commit_due) TellCommit(leads, /*at_once=*/true);
  if (now_ < leads.heartbeat_at) return;
  leads.heartbeat_at = now_ + config_.heartbeat_interval;
  for (auto& [id, peer] : leads.peers) {
    const bool recent = now_ - peer.sent_at < config_.heartbeat_interval / 2;
    if (!recent || peer.sent_round > peer.echo || peer.match() < log_.last_index()) {
      SendEmpty(leads, id, peer);
    }
    const bool due = peer.state() != Progress::State::kSnapshot
                         ? !log_.Knows(peer.next() - 1)  // no append could follow what it has
                         : now_ >= peer.snapshot_sent_at + config_.election_timeout;
    if (due) SendSnapshot(id, peer);
  }
}

void Core::Impl::On(Propose& input) {
  Leader* leads = leader();
  if (leads == nullptr || leads->transfer) {
    // Thesis section 3.10: nothing new while leadership is handed over, or it would never end.
    const NodeId hint = leads == nullptr ? LeaderId() : NodeId(0);
    for (const Proposal& proposal : input.proposals) Answer(proposal.token, NotLeader{hint});
    return;
  }
  const Index before = log_.last_index();
  for (const Proposal& proposal : input.proposals) AcceptProposal(*leads, proposal);
  if (log_.last_index() > before) SendEntriesToAll(*leads);
}

void Core::Impl::AcceptProposal(Leader& leads, const Proposal& proposal) {
  const std::size_t bytes = kRecordHeaderSize + proposal.payload.size();
  if (leads.uncommitted_bytes > 0 &&
      leads.uncommitted_bytes + bytes > config_.uncommitted_bytes_max) {
    Answer(proposal.token, Busy{});
    return;
  }
  const Index index = log_.last_index() + 1;
  leads.uncommitted_bytes += bytes;
  AppendEntry(Entry::Make(term_, index, proposal.kind, proposal.payload, proposal.payload_crc));
  Answer(proposal.token, Accepted{term_, index});
}

void Core::Impl::Answer(std::uint64_t token, std::variant<Accepted, NotLeader, Busy> outcome) {
  out_->proposed.push_back({token, outcome});
}

void Core::Impl::SendEntriesToAll(Leader& leads) {
  for (auto& [id, peer] : leads.peers) SendEntries(leads, id, peer);
}

void Core::Impl::SendEntries(Leader& leads, NodeId to, Progress& peer) {
  while (peer.next() <= log_.last_index() && peer.CanSend(config_.appends_in_flight_max)) {
    if (!log_.Knows(peer.next() - 1)) {
      SendSnapshot(to, peer);
      return;
    }
    std::vector<EntryPtr> entries;
    if (peer.next() >= log_.first_in_window()) {
      log_.Copy(peer.next(), log_.last_index(), config_.append_bytes_max, entries);
    } else if (peer.state() == Progress::State::kReplicate) {
      peer.Reading();
      const Index last = log_.first_in_window() - 1;
      out_->read_log.push_back({to, peer.next(), last, config_.append_bytes_max});
      return;
    }
    SendOneAppend(leads, to, peer, std::move(entries));
  }
}

void Core::Impl::SendOneAppend(Leader& leads, NodeId to, Progress& peer,
                               std::vector<EntryPtr> entries) {
  const Index last = peer.next() - 1 + entries.size();
  Append* append = UnsentAppend(to);
  if (append == nullptr || !append->entries.empty() || append->prev_index != peer.next() - 1) {
    SendNow(to, Append{});
    append = &std::get<Append>(out_->send_now.back().message);
    append->term = term_;
    append->prev_index = peer.next() - 1;
    append->prev_term = log_.TermAt(append->prev_index);
  }
  append->entries = std::move(entries);
  Stamp(leads, peer, *append);
  peer.Sent(last);
}

void Core::Impl::SendEmpty(Leader& leads, NodeId to, Progress& peer) {
  Append* append = UnsentAppend(to);
  if (append == nullptr) {
    SendNow(to, Append{});
    append = &std::get<Append>(out_->send_now.back().message);
    append->term = term_;
    // After all that was sent, so that a refusal shows what was lost.
    for (const Index prev : {peer.next() - 1, peer.match(), Index(0)}) {
      append->prev_index = prev;
      append->prev_term = log_.TermAt(prev);
      if (log_.Knows(prev)) break;
    }
  }
  Stamp(leads, peer, *append);
}

Append* Core::Impl::UnsentAppend(NodeId to) {
  auto& sends = out_->send_now;
  for (auto it = sends.rbegin(); it != sends.rend(); ++it) {
    if (it->to != to) continue;
    auto* append = std::get_if<Append>(&it->message);
    return append != nullptr && append->term == term_ ? append : nullptr;
  }
  return nullptr;
}

void Core::Impl::Stamp(const Leader& leads, Progress& peer, Append& append) {
  append.commit = commit_;
  append.round = leads.reads.round();
  // The receiver takes over only what the append has shown to be equal.
  const Index shown = append.prev_index + append.entries.size();
  peer.sent_commit = std::max(peer.sent_commit, std::min(commit_, shown));
  peer.sent_at = now_;
  peer.SentRound(append.round, now_);
}

void Core::Impl::SendSnapshot(NodeId to, Progress& peer) {
  peer.BecomeSnapshot();
  peer.snapshot_sent_at = now_;
  SendNow(to, InstallSnapshot{term_, applied_, log_.TermAt(applied_)});
}

void Core::Impl::On(NodeId from, const AppendReply& m) {
  Leader* leads = leader();
  if (leads == nullptr || !leads->peers.contains(from) || m.match > log_.last_index()) return;
  Progress& peer = leads->peers.at(from);
  peer.contact = now_;
  if (m.round > peer.echo && m.round <= leads->reads.round()) {
    peer.Echoed(m.round, now_);
    ConfirmReads(*leads);
  }
  if (m.ok) {
    // A peer whose next entry the log no longer has stays with its snapshot.
    if (peer.state() == Progress::State::kSnapshot && !log_.Knows(m.match)) return;
    peer.Accepted(m.match);
    AdvanceLeaderCommit(*leads);
    if ((leads = leader()) == nullptr || !leads->peers.contains(from)) return;
    ContinueTransfer(*leads, from, peer);
  } else {
    peer.Refused(m.prev_index, log_.LastNotAbove(m.hint_index, m.hint_term));
  }
  SendEntries(*leads, from, peer);
  TellCommit(*leads, /*at_once=*/false);
}

void Core::Impl::On(EntriesRead& input) {
  Leader* leads = leader();
  if (leads == nullptr || !leads->peers.contains(input.peer)) return;
  Progress& peer = leads->peers.at(input.peer);
  if (!peer.reading()) return;
  peer.ReadDone();
  if (input.entries.empty()) {
    SendSnapshot(input.peer, peer);
    return;
  }
  // What was asked for may have been answered in the meantime, or the log cut.
  const EntryPtr& last = input.entries.back();
  if (input.entries.front()->index() == peer.next() && log_.Matches(last->index(), last->term()) &&
      log_.Knows(peer.next() - 1)) {
    SendOneAppend(*leads, input.peer, peer, std::move(input.entries));
  }
  SendEntries(*leads, input.peer, peer);
}

void Core::Impl::On(NodeId from, const SnapshotReply& m) {
  Leader* leads = leader();
  if (leads == nullptr || !leads->peers.contains(from)) return;
  Progress& peer = leads->peers.at(from);
  peer.contact = now_;
  // A failed one is asked for again with a heartbeat.
  if (!m.ok || m.index > commit_ || !log_.Knows(m.index)) return;
  if (peer.state() != Progress::State::kSnapshot) return;
  peer.Accepted(m.index);
  AdvanceLeaderCommit(*leads);
  if ((leads = leader()) == nullptr || !leads->peers.contains(from)) return;
  SendEntries(*leads, from, peer);
}

void Core::Impl::AdvanceLeaderCommit(Leader& leads) {
  const Index agreed(QuorumValue(configuration(), [&](NodeId id) -> std::uint64_t {
    if (id == config_.id) return durable_.value();
    const auto peer = leads.peers.find(id);
    return peer == leads.peers.end() ? 0 : peer->second.match().value();
  }));
  // Thesis section 3.6.2: only entries of our own term are committed by counting; older ones
  // follow with them.
  const bool own = log_.TermAt(agreed) == term_ || COPPICE_MUTANT(kCommitOldTerm);
  if (agreed <= commit_ || !own) return;
  for (Index index = commit_ + 1; index <= agreed; ++index) {
    leads.uncommitted_bytes -= log_.At(index)->record().size();
  }
  commit_ = agreed;
  ReleaseHeldReads(leads);
  TellCommit(leads, /*at_once=*/false);
  ConfigurationCommitted(leads);
}

void Core::Impl::TellCommit(Leader& leads, bool at_once) {
  leads.commit_due = at_once ? kNever : leads.commit_due;
  const bool idle = commit_ == log_.last_index();
  for (auto& [id, peer] : leads.peers) {
    if (peer.sent_commit >= std::min(commit_, peer.next() - 1)) continue;
    if (idle || at_once || UnsentAppend(id) != nullptr) {
      SendEmpty(leads, id, peer);
    } else {
      leads.commit_due = std::min(leads.commit_due, now_ + kCommitDelayMax);
    }
  }
}

}  // namespace coppice::raft
