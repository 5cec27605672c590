#include "common/replica/tail_source.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace coppice::replica {
namespace {

// Whatever a subscriber grants: what is read for it, and waits to be sent, stays below this.
constexpr std::int64_t kCreditMax = 64 << 20;

std::int64_t Granted(std::int64_t before, std::uint64_t bytes) {
  return std::min(before + static_cast<std::int64_t>(std::min<std::uint64_t>(bytes, kCreditMax)),
                  kCreditMax);
}

}  // namespace

void TailSource::Output::Clear() {
  state.clear();
  entries.clear();
  behind.clear();
  refused.clear();
  read_wal.clear();
}

TailSource::TailSource(const TailSourceConfig& config)
    : config_(config), path_{config.self}, rooted_(config.reads_wal) {}

void TailSource::Step(Time now, const Input& input, Output& out) {
  std::visit([&](const auto& in) { On(now, in, out); }, input);
  if (next_state_ <= now) SendStates(now, out);
}

void TailSource::On(Time now, const Timer& /*in*/, Output& out) {
  PumpAll(now, out);
}

void TailSource::On(Time now, const Connected& in, Output& out) {
  links_[in.conn] = {};
  out.state.push_back({in.conn, State(now)});
  next_state_ = std::min(next_state_, now + config_.state_interval);
}

void TailSource::On(Time now, const Subscribe& in, Output& out) {
  const auto found = links_.find(in.conn);
  if (found == links_.end()) return;
  Link& link = found->second;
  link = {};
  link.subscribed = true;
  link.insist = in.request.insist;
  link.node = in.request.node;
  link.index = in.request.index;
  link.term = in.request.term;
  link.credit = Granted(0, in.request.credit);
  if (in.request.cluster_id != config_.cluster_id) {
    return Refuse(in.conn, link, TailRefusal::kOtherCluster, out);
  }
  if (std::find(path_.begin(), path_.end(), link.node) != path_.end()) {
    return Refuse(in.conn, link, TailRefusal::kLoop, out);
  }
  if (path_.size() > kRelayDepthMax) return Refuse(in.conn, link, TailRefusal::kTooDeep, out);
  if (leader_ && !followers_.empty() && !link.insist) {
    return Refuse(in.conn, link, TailRefusal::kUseFollower, out);
  }
  Pump(now, in.conn, link, Gather::kNow, out);
}

void TailSource::On(Time now, const Credit& in, Output& out) {
  const auto found = links_.find(in.conn);
  if (found == links_.end() || !found->second.subscribed) return;
  found->second.credit = Granted(found->second.credit, in.bytes);
  Pump(now, in.conn, found->second, Gather::kMayWait, out);
}

void TailSource::On(Time /*now*/, const Gone& in, Output& /*out*/) {
  links_.erase(in.conn);
  if (links_.empty()) next_state_ = kNever;
}

void TailSource::On(Time now, const Committed& in, Output& out) {
  for (const EntryPtr& entry : in.entries) {
    COPPICE_CHECK(entry->index() == last_index() + 1, "committed entries come in order");
    COPPICE_CHECK(entry->term() >= last_term());
    window_.push_back({entry, end_});
    end_ += entry->record().size();
  }
  // One entry stays even if it alone is over the budget: someone is about to ask for it.
  while (end_ - begin_ > config_.window_bytes && window_.size() > 1) {
    const Slot& front = window_.front();
    base_index_ = front.entry->index();
    base_term_ = front.entry->term();
    begin_ += front.entry->record().size();
    window_.pop_front();
  }
  PumpAll(now, out);
}

void TailSource::On(Time now, const BeforeAnswer& in, Output& out) {
  const auto found = links_.find(in.conn);
  if (found != links_.end()) Pump(now, in.conn, found->second, Gather::kNow, out);
}

void TailSource::On(Time now, const WalRead& in, Output& out) {
  const auto found = links_.find(in.conn);
  if (found == links_.end() || !found->second.reading_wal) return;
  Link& link = found->second;
  link.reading_wal = false;
  if (in.entries.empty()) return Behind(in.conn, link, in.first_index, out);
  std::vector<EntryPtr> entries = in.entries;
  if (!link.verified) {
    if (entries.front()->index() != link.index) {
      return Behind(in.conn, link, in.first_index, out);
    }
    if (entries.front()->term() != link.term) {
      return Refuse(in.conn, link, TailRefusal::kMismatch, out);
    }
    link.verified = true;
    entries.erase(entries.begin());
  }
  // The log may hold more than is committed.
  std::erase_if(entries, [&](const EntryPtr& entry) {
    return entry->index() <= link.index || entry->index() > last_index();
  });
  if (!entries.empty()) {
    COPPICE_CHECK(entries.front()->index() == link.index + 1);
    SendFrame(now, in.conn, link, std::move(entries), out);
  }
  Pump(now, in.conn, link, Gather::kNow, out);
}

void TailSource::On(Time now, const Restarted& in, Output& out) {
  window_.clear();
  begin_ = end_;
  base_index_ = in.index;
  base_term_ = in.term;
  PumpAll(now, out);
}

void TailSource::On(Time now, const PathChanged& in, Output& out) {
  if (in.path == path_ && in.rooted == rooted_) return;
  path_ = in.path;
  rooted_ = in.rooted;
  for (auto& [conn, link] : links_) {
    if (!link.subscribed) continue;
    if (std::find(path_.begin(), path_.end(), link.node) != path_.end()) {
      Refuse(conn, link, TailRefusal::kLoop, out);
    } else if (path_.size() > kRelayDepthMax) {
      Refuse(conn, link, TailRefusal::kTooDeep, out);
    }
  }
  SendStates(now, out);
}

void TailSource::On(Time now, const LeaderChanged& in, Output& out) {
  const bool changed = leader_ != in.leader;
  leader_ = in.leader;
  followers_ = in.followers;
  if (leader_ && !followers_.empty()) {
    for (auto& [conn, link] : links_) {
      if (link.subscribed && !link.insist) Refuse(conn, link, TailRefusal::kUseFollower, out);
    }
  }
  if (changed) SendStates(now, out);
}

void TailSource::On(Time /*now*/, const Voters& in, Output& /*out*/) {
  voters_ = in.addresses;
}

void TailSource::On(Time now, const LeaderIs& in, Output& out) {
  if (in.id == leader_id_ && in.term == leader_term_) return;
  leader_id_ = in.id;
  leader_term_ = in.term;
  SendStates(now, out);
}

void TailSource::On(Time /*now*/, const RoundConfirmed& in, Output& /*out*/) {
  round_sent_at_ = std::max(round_sent_at_, in.sent_at);
}

void TailSource::PumpAll(Time now, Output& out) {
  for (auto& [conn, link] : links_) Pump(now, conn, link, Gather::kMayWait, out);
}

Term TailSource::TermAt(Index index) const {
  return index == base_index_ ? base_term_ : window_[index - base_index_ - 1].entry->term();
}

// True once the subscriber's last entry is known to be ours.
bool TailSource::Verify(std::uint64_t conn, Link& link, Output& out) {
  if (link.verified) return true;
  if (link.index > last_index()) return false;
  if (link.index == Index(0)) return link.verified = true;
  if (link.index >= base_index_) {
    if (TermAt(link.index) != link.term) {
      Refuse(conn, link, TailRefusal::kMismatch, out);
      return false;
    }
    return link.verified = true;
  }
  if (config_.reads_wal) {
    AskWal(conn, link, link.index, out);
  } else {
    Behind(conn, link, first_index(), out);
  }
  return false;
}

std::uint64_t TailSource::PendingBytes(const Link& link) const {
  return link.index < base_index_ ? end_ - begin_ : end_ - window_[link.index - base_index_].offset;
}

// Something could be sent, were it not for gathering.
bool TailSource::Pending(const Link& link) const {
  return link.subscribed && link.verified && !link.reading_wal && link.index < last_index() &&
         link.credit > 0;
}

void TailSource::Pump(Time now, std::uint64_t conn, Link& link, Gather gather, Output& out) {
  if (!link.subscribed || link.reading_wal || !Verify(conn, link, out)) return;
  while (Pending(link)) {
    if (link.index < base_index_) {
      if (config_.reads_wal) {
        AskWal(conn, link, link.index + 1, out);
      } else {
        Behind(conn, link, first_index(), out);
      }
      return;
    }
    if (gather == Gather::kMayWait && PendingBytes(link) < config_.gather_bytes &&
        now < link.last_sent + config_.gather) {
      return;
    }
    std::vector<EntryPtr> entries;
    std::size_t bytes = 0;
    const auto limit = std::min(config_.frame_bytes_max, static_cast<std::size_t>(link.credit));
    for (std::size_t i = link.index - base_index_; i < window_.size() && bytes < limit; ++i) {
      entries.push_back(window_[i].entry);
      bytes += entries.back()->record().size();
    }
    SendFrame(now, conn, link, std::move(entries), out);
  }
}

void TailSource::AskWal(std::uint64_t conn, Link& link, Index from, Output& out) {
  link.reading_wal = true;
  const auto credit = static_cast<std::size_t>(std::max<std::int64_t>(link.credit, 1));
  out.read_wal.push_back({conn, from, last_index(), std::min(config_.frame_bytes_max, credit)});
}

void TailSource::SendFrame(Time now, std::uint64_t conn, Link& link, std::vector<EntryPtr> entries,
                           Output& out) {
  for (const EntryPtr& entry : entries) {
    link.credit -= static_cast<std::int64_t>(entry->record().size());
  }
  link.index = entries.back()->index();
  link.last_sent = now;
  out.entries.push_back({conn, {last_index(), std::move(entries)}});
}

void TailSource::Refuse(std::uint64_t conn, Link& link, TailRefusal reason, Output& out) {
  link.subscribed = false;
  link.reading_wal = false;
  TailRefused message{reason, {}};
  if (reason == TailRefusal::kUseFollower) message.instead = followers_;
  out.refused.push_back({conn, std::move(message)});
}

void TailSource::Behind(std::uint64_t conn, Link& link, Index first, Output& out) {
  link.subscribed = false;
  out.behind.push_back({conn, {first, voters_}});
}

TailState TailSource::State(Time now) const {
  TailState state;
  state.cluster_id = config_.cluster_id;
  state.path = path_;
  state.rooted = rooted_;
  state.leader = leader_;
  state.leader_id = leader_id_;
  state.term = leader_term_;
  state.commit = last_index();
  state.round_age = round_sent_at_ == 0 ? -1 : now - round_sent_at_;
  return state;
}

void TailSource::SendStates(Time now, Output& out) {
  for (const auto& [conn, link] : links_) out.state.push_back({conn, State(now)});
  next_state_ = links_.empty() ? kNever : now + config_.state_interval;
}

Time TailSource::NextDeadline() const {
  Time next = next_state_;
  for (const auto& [conn, link] : links_) {
    if (Pending(link)) next = std::min(next, link.last_sent + config_.gather);
  }
  return next;
}

std::size_t TailSource::subscribers() const {
  return static_cast<std::size_t>(std::count_if(
      links_.begin(), links_.end(), [](const auto& link) { return link.second.subscribed; }));
}

}  // namespace coppice::replica
