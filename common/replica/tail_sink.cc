#include "common/replica/tail_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace coppice::replica {
namespace {

constexpr int kStuckHeartbeats = 3;  // without a completed round
constexpr int kOldHeartbeats = 10;   // since the newest completed one was sent
constexpr int kFailuresMax = 16;
constexpr int kRoundHeartbeatsMax = 10;  // a round that took longer says nothing about the way
constexpr int kFruitlessMax = 5;

}  // namespace

void TailSink::Output::Clear() {
  *this = {};
}

TailSink::TailSink(const TailSinkConfig& config, Rng rng)
    : config_(config), rng_(rng), cluster_id_(config.cluster_id), path_{{config.self}, false} {}

void TailSink::Step(Time now, const Input& input, Output& out) {
  std::visit([&](const auto& in) { On(now, in, out); }, input);
  Act(now, out);
}

// --- What connections report.

void TailSink::On(Time /*now*/, const Timer& /*in*/, Output& /*out*/) {}

void TailSink::On(Time now, const Candidates& in, Output& out) {
  std::vector<Peer> peers;
  for (const Candidate& candidate : in.list) {
    if (candidate.address.empty() || candidate.id == config_.self) continue;
    Peer peer;
    if (const Peer* known = Find(candidate.address)) peer = *known;
    peer.learned = false;
    const bool voter = peer.candidate.voter || candidate.voter;
    peer.candidate = candidate;
    peer.candidate.voter = voter;
    peers.push_back(std::move(peer));
  }
  for (const Peer& peer : peers_) {
    const auto same = [&](const Peer& p) { return p.candidate.address == peer.candidate.address; };
    const bool in_use = peer.candidate.address == current_.address;
    if ((peer.learned || in_use) && std::none_of(peers.begin(), peers.end(), same)) {
      peers.push_back(peer);
    }
  }
  peers_ = std::move(peers);
  if (probe_.id != 0 && Find(probe_.address) == nullptr) DropProbe(now, false, out);
}

void TailSink::On(Time now, const ConnectionUp& in, Output& /*out*/) {
  if (in.link == probe_.id && in.link != 0) probe_.since = now;
}

void TailSink::On(Time now, const ConnectionLost& in, Output& out) {
  if (in.link == 0) return;
  if (in.link == probe_.id) DropProbe(now, true, out);
  if (in.link == current_.id) Leave(now, "the connection was lost", true, out);
}

void TailSink::On(Time now, const State& in, Output& out) {
  if (in.link == 0) return;
  if (in.link == probe_.id) {
    OnProbeState(now, in.message, out);
  } else if (in.link == current_.id) {
    OnCurrentState(now, in.message, out);
  }
}

// Empty, or why a node with this state cannot be our upstream.
std::string TailSink::Objection(const TailState& state) const {
  if (cluster_id_ != 0 && state.cluster_id != cluster_id_) {
    return fmt::format("it belongs to cluster {:x}, we to {:x}", state.cluster_id, cluster_id_);
  }
  if (state.path.empty()) return "it names no path to a voter";
  if (std::find(state.path.begin(), state.path.end(), config_.self) != state.path.end()) {
    return "its own path leads through this node";
  }
  if (state.path.size() > kRelayDepthMax) return "its relay chain is too deep";
  return {};
}

void TailSink::OnProbeState(Time now, const TailState& state, Output& out) {
  if (Peer* peer = Find(probe_.address)) {
    peer->leader = state.leader;
    peer->unrooted = !state.rooted;
    peer->candidate.voter = state.rooted && state.path.size() == 1;
    if (!state.path.empty()) peer->candidate.id = state.path.front();
  }
  if (const std::string objection = Objection(state); !objection.empty()) {
    out.notes.push_back(fmt::format("upstream {} refused: {}", probe_.address, objection));
    return DropProbe(now, true, out);
  }
  if (!state.rooted) return DropProbe(now, false, out);
  const bool newer = state.round_age >= 0 && now - state.round_age > round_sent_at_;
  const bool wanted =
      current_.id == 0 || (probe_.returning ? MayReturn() : now >= StuckAt() && newer);
  if (!wanted) return DropProbe(now, false, out);
  Adopt(now, state, out);
}

void TailSink::OnCurrentState(Time now, const TailState& state, Output& out) {
  if (const std::string objection = Objection(state); !objection.empty()) {
    return Leave(now, objection, true, out);
  }
  if (Peer* peer = Find(current_.address)) peer->leader = state.leader;
  leader_ = state.leader_id;
  leader_term_ = std::max(leader_term_, state.term);
  NoteCommit(state.commit);
  Path path{{config_.self}, state.rooted};
  path.nodes.insert(path.nodes.end(), state.path.begin(), state.path.end());
  SetPath(std::move(path), out);
}

void TailSink::Adopt(Time now, const TailState& state, Output& out) {
  if (current_.id != 0) {
    out.notes.push_back(fmt::format("upstream {} left for {}", current_.address, probe_.address));
    out.disconnect.push_back(current_.id);
    if (round_done_at_ <= current_.since) fruitless_ = std::min(fruitless_ + 1, kFruitlessMax);
  }
  if (cluster_id_ == 0) cluster_id_ = state.cluster_id;
  current_ = std::exchange(probe_, {});
  current_.since = now;
  if (current_.address == home_) home_.clear();
  ungranted_ = 0;
  const std::size_t room =
      buffered_ < config_.buffer_bytes_max ? config_.buffer_bytes_max - buffered_ : 0;
  const Peer* peer = Find(current_.address);
  TailSubscribe message;
  message.cluster_id = cluster_id_;
  message.node = config_.self;
  message.index = last_index_;
  message.term = last_term_;
  message.credit = room;
  message.insist = peer != nullptr && peer->sent_away;
  out.subscribe.push_back({current_.id, message});
  out.upstream = current_.id;
  OnCurrentState(now, state, out);
}

// --- The log.

void TailSink::On(Time now, const Entries& in, Output& out) {
  if (in.link == 0 || in.link != current_.id) return;
  std::string error;
  for (const EntryPtr& entry : in.message.entries) {
    if (!TakeEntry(entry, error, out)) return Leave(now, error, true, out);
  }
  NoteCommit(in.message.commit);
  GrantCredit(0, out);
}

bool TailSink::TakeEntry(const EntryPtr& entry, std::string& error, Output& out) {
  const std::size_t bytes = entry->record().size();
  if (entry->index() <= last_index_) {
    ungranted_ += bytes;
    return true;
  }
  if (entry->index() != last_index_ + 1 || entry->term() < last_term_) {
    error =
        fmt::format("entry {} of term {} cannot follow entry {} of term {}", entry->index().value(),
                    entry->term().value(), last_index_.value(), last_term_.value());
    return false;
  }
  last_index_ = entry->index();
  last_term_ = entry->term();
  NoteCommit(last_index_);
  unapplied_.push_back({last_index_, bytes});
  buffered_ += bytes;
  out.apply.push_back(entry);
  return true;
}

void TailSink::On(Time /*now*/, const Applied& in, Output& out) {
  std::size_t freed = 0;
  while (!unapplied_.empty() && unapplied_.front().index <= in.index) {
    freed += unapplied_.front().bytes;
    unapplied_.pop_front();
  }
  buffered_ -= freed;
  GrantCredit(freed, out);
}

// In portions: a frame for each applied batch would be as many frames as entries.
void TailSink::GrantCredit(std::size_t bytes, Output& out) {
  ungranted_ += bytes;
  if (current_.id == 0 || ungranted_ == 0) return;
  if (ungranted_ < config_.buffer_bytes_max / 4) return;
  const std::size_t portion =
      std::min<std::size_t>(ungranted_, std::numeric_limits<std::uint32_t>::max());
  ungranted_ -= portion;
  out.credit.push_back({current_.id, static_cast<std::uint32_t>(portion)});
}

void TailSink::On(Time now, const Behind& in, Output& out) {
  if (in.link == 0 || in.link != current_.id) return;
  Peer* peer = Find(current_.address);
  const bool from_voter = path_.nodes.size() == 2 && path_.rooted;
  const std::string relay = current_.address;
  if (peer != nullptr) peer->first_index = in.message.first_index;
  LearnVoters(in.message.voters);
  Leave(now, "we are below its memory", false, out);
  const bool others = std::any_of(peers_.begin(), peers_.end(), [&](const Peer& p) {
    return p.candidate.address != relay && Rank(p) < 50;
  });
  if (from_voter || !others) {
    wants_snapshot_ = out.need_snapshot = true;
  } else {
    home_ = relay;
  }
}

void TailSink::On(Time now, const Refused& in, Output& out) {
  if (in.link == 0 || in.link != current_.id) return;
  Peer* peer = Find(current_.address);
  switch (in.message.reason) {
    case TailRefusal::kMismatch:
      Leave(now, "it has another history", false, out);
      wants_snapshot_ = out.need_snapshot = true;
      return;
    case TailRefusal::kOtherCluster:
      return Leave(now, "it belongs to another cluster", true, out);
    case TailRefusal::kLoop:
      return Leave(now, "its own path leads through this node", true, out);
    case TailRefusal::kTooDeep:
      return Leave(now, "its relay chain is too deep", true, out);
    case TailRefusal::kUseFollower:
      break;
  }
  if (peer != nullptr) peer->leader = peer->sent_away = true;
  LearnVoters(in.message.instead);
  Leave(now, "it leads, and followers are alive", false, out);
}

void TailSink::LearnVoters(const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) {
    if (Find(address) != nullptr) continue;
    Peer voter;
    voter.candidate = {address, NodeId(0), true, false};
    voter.learned = true;
    peers_.push_back(std::move(voter));
  }
}

void TailSink::On(Time now, const RoundCompleted& in, Output& /*out*/) {
  round_sent_at_ = std::max(round_sent_at_, in.sent_at);
  round_done_at_ = now;
  round_took_ = std::min(now - in.sent_at, kRoundHeartbeatsMax * config_.heartbeat);
  fruitless_ = 0;
  if (Peer* peer = Find(current_.address)) peer->failures = 0;
}

void TailSink::On(Time /*now*/, const SnapshotInstalled& in, Output& /*out*/) {
  wants_snapshot_ = false;
  last_index_ = in.index;
  last_term_ = in.term;
  commit_ = std::max(commit_, in.index);
  if (in.cluster_id != 0) cluster_id_ = in.cluster_id;
  unapplied_.clear();
  buffered_ = 0;
}

void TailSink::NoteCommit(Index commit) {
  commit_ = std::max(commit_, commit);
}

// --- The choice of an upstream.

void TailSink::Act(Time now, Output& out) {
  ExpireProbe(now, out);
  if (wants_snapshot_ || probe_.id != 0 || now < probe_pause_until_) return;
  if (current_.id != 0 && MayReturn()) {
    Peer* home = Find(home_);
    if (home->not_before <= now) return StartProbe(now, *home, true, out);
  }
  if (current_.id != 0 && now < StuckAt()) return;
  if (Peer* peer = Pick(now)) {
    StartProbe(now, *peer, false, out);
  } else if (current_.id != 0) {
    probe_pause_until_ = now + config_.heartbeat;
  }
}

void TailSink::ExpireProbe(Time now, Output& out) {
  if (probe_.id != 0 && now >= probe_.since + config_.connect_timeout) DropProbe(now, true, out);
}

void TailSink::StartProbe(Time now, Peer& peer, bool returning, Output& out) {
  probe_ = {++last_link_, peer.candidate.address, now, returning};
  out.connect.push_back({probe_.id, probe_.address});
}

void TailSink::DropProbe(Time now, bool failed, Output& out) {
  out.disconnect.push_back(probe_.id);
  if (Peer* peer = Find(probe_.address)) {
    if (failed) {
      Failed(now, *peer);
    } else {
      peer->not_before = now + config_.heartbeat;
    }
  }
  if (current_.id != 0) probe_pause_until_ = now + config_.heartbeat;
  probe_ = {};
}

void TailSink::Leave(Time now, const std::string& why, bool failed, Output& out) {
  out.notes.push_back(fmt::format("upstream {} left: {}", current_.address, why));
  out.disconnect.push_back(current_.id);
  out.upstream = 0;
  if (Peer* peer = Find(current_.address)) {
    if (failed) {
      Failed(now, *peer);
    } else {
      peer->not_before = now + config_.backoff_min;
    }
  }
  current_ = {};
  probe_pause_until_ = now;
  SetPath({{config_.self}, false}, out);
}

void TailSink::Failed(Time now, Peer& peer) {
  const Micros full = std::min(config_.backoff_max, config_.backoff_min << peer.failures);
  peer.failures = std::min(peer.failures + 1, kFailuresMax);
  peer.not_before = now + rng_.Between(full / 2, full);
}

void TailSink::SetPath(Path path, Output& out) {
  if (path == path_) return;
  path_ = std::move(path);
  out.path = path_;
}

TailSink::Peer* TailSink::Find(const std::string& address) {
  for (Peer& peer : peers_) {
    if (peer.candidate.address == address) return &peer;
  }
  return nullptr;
}

// Lower is better. What said Behind is of no use until the gap is filled; a relay without a voter
// above it comes after the leader, or two of them, asked in turn, would keep us from it for ever.
int TailSink::Rank(const Peer& peer) const {
  if (peer.first_index > last_index_ + 1) return 50;
  if (peer.unrooted) return 45;
  if (peer.leader) return 40;
  if (peer.candidate.configured) return 0;
  return peer.candidate.voter ? 10 : 20;
}

TailSink::Peer* TailSink::Pick(Time now) {
  Peer* best = nullptr;
  std::uint64_t equals = 0;
  for (Peer& peer : peers_) {
    if (peer.not_before > now || peer.candidate.address == current_.address) continue;
    const int difference = best == nullptr ? -1 : Rank(peer) - Rank(*best);
    if (difference > 0) continue;
    equals = difference < 0 ? 1 : equals + 1;
    if (rng_.Below(equals) == 0) best = &peer;
  }
  return best;
}

// The gap that the relay could not fill is filled when we have all that is committed.
bool TailSink::MayReturn() const {
  if (home_.empty() || home_ == current_.address || last_index_ < commit_) return false;
  return std::any_of(peers_.begin(), peers_.end(),
                     [&](const Peer& peer) { return peer.candidate.address == home_; });
}

// Longer where rounds take long (links of many milliseconds, relays of relays), and twice as long
// for each upstream in a row that did not get as far as one: else none ever would.
Time TailSink::StuckAt() const {
  if (current_.id == 0) return kNever;
  const Micros heartbeat = config_.heartbeat << fruitless_;
  const Micros stuck = kStuckHeartbeats * std::max(heartbeat, round_took_);
  return std::min(std::max(round_done_at_, current_.since) + stuck,
                  std::max(round_sent_at_, current_.since) + kOldHeartbeats * heartbeat);
}

Time TailSink::NextTry() const {
  if (wants_snapshot_) return kNever;
  Time due = kNever;
  if (current_.id == 0) {
    for (const Peer& peer : peers_) due = std::min(due, peer.not_before);
  } else {
    due = StuckAt();
    for (const Peer& peer : peers_) {
      if (MayReturn() && peer.candidate.address == home_) due = std::min(due, peer.not_before);
    }
  }
  return due == kNever ? kNever : std::max(due, probe_pause_until_);
}

Time TailSink::NextDeadline() const {
  return probe_.id != 0 ? probe_.since + config_.connect_timeout : NextTry();
}

}  // namespace coppice::replica
