#include "common/replica/read_gate.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/base/rng.h"

namespace coppice::replica {
namespace {

constexpr int kChildRoundsMax = 4;  // a child has two out, and their retries
constexpr std::size_t kAnsweredMax = 64;
constexpr Micros kRetryMax = 1 * kSecond;
constexpr Micros kFirstRoundInterval = 100 * kMillisecond;
constexpr int kLostElectionTimeouts = 3;

}  // namespace

void ReadGate::Output::Clear() {
  publish_fresh.reset();
  serve.clear();
  answer.clear();
  refuse.clear();
  send.clear();
  confirmed.reset();
}

void ReadGate::Members::Clear() {
  loops = {};
  children.clear();
  urgent = false;
}

ReadGate::ReadGate(const ReadGateConfig& config)
    : config_(config),
      refresh_interval_(config.refresh_interval),
      next_id_(Mix64(config.boot_nonce)) {}

void ReadGate::Step(Time now, std::span<const Input> inputs, Output& out) {
  for (const Input& input : inputs) {
    std::visit([&](const auto& in) { On(now, in, out); }, input);
  }
  Expire(now, out);
  if (SendDue() <= now) Send(now, out);
}

void ReadGate::On(Time /*now*/, const Timer& /*in*/, Output& /*out*/) {}

void ReadGate::On(Time /*now*/, const LocalWaiting& in, Output& /*out*/) {
  COPPICE_CHECK(in.loop >= 0 && in.loop < kGateLoopsMax && in.slot >= 0 && in.slot < kGateSlots);
  const std::uint64_t bit = 1ULL << in.loop;
  std::uint64_t& mask = waiting_.loops[static_cast<std::size_t>(in.slot)];
  COPPICE_CHECK((mask & bit) == 0, "a slot is closed until it is served");
  mask |= bit;
  waiting_.urgent = true;
}

void ReadGate::On(Time now, const ChildRound& in, Output& out) {
  if (!up_) {
    out.refuse.push_back({in.child, in.child_id});
    return;
  }
  if (COPPICE_MUTANT(kTakeRelaysStamp) && fresh_ != 0) {
    out.answer.push_back({in.child, in.child_id, applied_});
    return;
  }
  DropOldest(in.child, out);
  waiting_.children.push_back({in.child, in.child_id, in.relaxed});
  if (in.relaxed) {
    relaxed_since_ = std::min(relaxed_since_, now);
  } else {
    waiting_.urgent = true;
  }
}

// A child that retries while its upstream's upstream is slow must not pile up here.
void ReadGate::DropOldest(std::uint64_t child, Output& out) {
  const auto is_same = [&](const Child& c) { return c.child == child; };
  if (std::count_if(waiting_.children.begin(), waiting_.children.end(), is_same) <
      kChildRoundsMax) {
    return;
  }
  const auto oldest = std::find_if(waiting_.children.begin(), waiting_.children.end(), is_same);
  out.refuse.push_back({oldest->child, oldest->child_id});
  waiting_.children.erase(oldest);
}

void ReadGate::On(Time /*now*/, const ChildGone& in, Output& /*out*/) {
  const auto is_gone = [&](const Child& c) { return c.child == in.child; };
  std::erase_if(waiting_.children, is_gone);
  for (Round& round : rounds_) std::erase_if(round.members.children, is_gone);
}

void ReadGate::On(Time now, const UpstreamAnswer& in, Output& out) {
  if (in.id == 0) return;
  const auto round =
      std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& r) { return r.id == in.id; });
  if (round == rounds_.end()) {
    for (Retired& retired : retired_) {
      if (retired.id != in.id) continue;
      LearnRoundTrip(now - retired.sent_at);
      retired.id = 0;
    }
    return;
  }
  if (!round->relaxed) LearnRoundTrip(now - round->sent_at);
  lost_in_a_row_ = 0;
  last_confirmed_ = now;
  if (!confirmed_) out.confirmed = confirmed_ = true;
  for (const Child& child : round->members.children) {
    out.answer.push_back({child.child, child.child_id, in.index});
  }
  const Time stamp = COPPICE_MUTANT(kStampAfterProbe) ? now : round->sent_at;
  Remember({in.index, round->stamped ? stamp : 0, round->members.loops});
  round->id = 0;
  round->members.Clear();
  // Someone already waiting shows that rounds follow each other closely: gather a little more. The
  // gap shrinks slowly, since under load a big batch and a small one take turns.
  gap_ = waiting_.urgent ? std::min(config_.gap_max, std::max(gap_ * 2, config_.gap_max / 8))
                         : std::max<Micros>(0, gap_ - gap_ / 8 - 1);
  ServeApplied(out);
}

// Rounds without local readers matter for freshness only, so a long list of them may lose one.
void ReadGate::Remember(const Answered& answered) {
  if (answered_.size() >= kAnsweredMax && answered_.back().loops[0] == 0 &&
      answered_.back().loops[1] == 0) {
    answered_.back() = answered;
  } else {
    answered_.push_back(answered);
  }
}

void ReadGate::On(Time now, const UpstreamRefused& in, Output& /*out*/) {
  for (Round& round : rounds_) {
    if (round.id == 0 || round.id != in.id) continue;
    Requeue(now, round);
    hold_until_ = now + config_.retry_min;
  }
}

void ReadGate::On(Time now, const UpstreamUp& /*in*/, Output& /*out*/) {
  for (Round& round : rounds_) {
    if (round.id != 0) Requeue(now, round);
  }
  up_ = true;
  hold_until_ = 0;
  lost_in_a_row_ = 0;
  srtt_ = 0;
  refresh_now_ = true;
}

void ReadGate::On(Time now, const UpstreamDown& /*in*/, Output& out) {
  up_ = false;
  for (Round& round : rounds_) {
    if (round.id != 0) Requeue(now, round);
  }
  for (const Child& child : waiting_.children) out.refuse.push_back({child.child, child.child_id});
  waiting_.children.clear();
  relaxed_since_ = kNever;
}

void ReadGate::On(Time /*now*/, const Applied& in, Output& out) {
  applied_ = std::max(applied_, in.index);
  ServeApplied(out);
}

void ReadGate::On(Time /*now*/, const SetRefresh& in, Output& /*out*/) {
  refresh_interval_ = in.interval;
}

void ReadGate::On(Time /*now*/, const Resumed& /*in*/, Output& out) {
  for (Round& round : rounds_) round.stamped = false;
  for (Answered& answered : answered_) answered.sent_at = 0;
  fresh_ = 0;
  out.publish_fresh = 0;
  refresh_now_ = true;
}

// Whoever was in a round that failed waits again, in front of nobody: the next round takes all.
void ReadGate::Requeue(Time now, Round& round) {
  retired_[retired_next_++ % retired_.size()] = {round.id, round.sent_at};
  if (COPPICE_MUTANT(kReuseReadId)) next_id_ = round.id - 1;
  for (std::size_t slot = 0; slot < kGateSlots; ++slot) {
    waiting_.loops[slot] |= round.members.loops[slot];
  }
  for (const Child& child : round.members.children) {
    waiting_.children.push_back(child);
    if (child.relaxed) relaxed_since_ = std::min(relaxed_since_, now);
  }
  waiting_.urgent |= round.members.urgent;
  refresh_now_ |= round.members.empty();
  round.id = 0;
  round.members.Clear();
}

void ReadGate::LearnRoundTrip(Micros sample) {
  srtt_ = srtt_ == 0 ? sample : srtt_ + (sample - srtt_) / 8;
}

void ReadGate::ServeApplied(Output& out) {
  Time fresh = fresh_;
  for (const Answered& a : answered_) {
    if (a.index <= applied_) fresh = std::max(fresh, a.sent_at);
  }
  if (fresh > fresh_) out.publish_fresh = fresh_ = fresh;
  std::erase_if(answered_, [&](const Answered& a) {
    if (a.index > applied_ && !COPPICE_MUTANT(kServeBeforeApplied)) return false;
    for (std::size_t slot = 0; slot < kGateSlots; ++slot) {
      for (std::uint64_t left = a.loops[slot]; left != 0; left &= left - 1) {
        out.serve.push_back({std::countr_zero(left), static_cast<int>(slot), fresh_, a.index});
      }
    }
    return true;
  });
}

Time ReadGate::LostAt() const {
  return confirmed_ && refresh_interval_ > 0
             ? last_confirmed_ + kLostElectionTimeouts * config_.election_timeout
             : kNever;
}

void ReadGate::Expire(Time now, Output& out) {
  bool lost = false;
  for (Round& round : rounds_) {
    if (round.id == 0 || round.retry_at > now) continue;
    Requeue(now, round);
    lost = true;
  }
  if (lost) ++lost_in_a_row_;
  if (LostAt() <= now) out.confirmed = confirmed_ = false;
}

int ReadGate::rounds_out() const {
  return static_cast<int>(std::count_if(rounds_.begin(), rounds_.end(),
                                        [](const Round& round) { return round.id != 0; }));
}

Time ReadGate::SendDue() const {
  const int rounds = rounds_out();
  if (!up_ || rounds == kGateSlots) return kNever;
  Time due = kNever;
  if (waiting_.urgent) {
    due = last_sent_ + gap_;
  } else if (!waiting_.children.empty()) {
    due = relaxed_since_ + config_.merge_window;
  }
  if (rounds == 0) {
    const Micros interval =
        refresh_interval_ == 0 && fresh_ == 0 ? kFirstRoundInterval : refresh_interval_;
    if (refresh_now_) {
      due = 0;
    } else if (interval > 0) {
      due = std::min(due, last_sent_ + interval);
    }
  }
  return due == kNever ? kNever : std::max(due, hold_until_);
}

std::uint64_t ReadGate::FreshId() {
  if (++next_id_ == 0) ++next_id_;
  return next_id_;
}

void ReadGate::Send(Time now, Output& out) {
  const auto round =
      std::find_if(rounds_.begin(), rounds_.end(), [](const Round& r) { return r.id == 0; });
  round->id = FreshId();
  round->sent_at = now;
  round->relaxed = !waiting_.urgent;
  round->stamped = true;
  const Micros base = std::max(2 * srtt_, config_.retry_min);
  // A relaxed round may be held back once at each hop above.
  const Micros patience = round->relaxed ? 4 * config_.merge_window : 0;
  round->retry_at =
      now + patience + std::min(base << std::min(lost_in_a_row_, 10), std::max(kRetryMax, base));
  std::swap(round->members, waiting_);
  relaxed_since_ = kNever;
  last_sent_ = now;
  refresh_now_ = false;
  out.send.push_back({round->id, round->relaxed});
}

Time ReadGate::NextDeadline() const {
  Time next = std::min(SendDue(), LostAt());
  for (const Round& round : rounds_) {
    if (round.id != 0) next = std::min(next, round.retry_at);
  }
  return next;
}

}  // namespace coppice::replica
