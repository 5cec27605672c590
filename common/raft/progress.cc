#include "common/raft/progress.h"

#include <algorithm>

namespace coppice::raft {

bool Progress::CanSend(int in_flight_max) const {
  if (reading_) return false;
  switch (state_) {
    case State::kProbe:
      return !probing_;
    case State::kReplicate:
      return in_flight_.size() < static_cast<std::size_t>(in_flight_max);
    case State::kSnapshot:
      return false;
  }
  return false;
}

void Progress::Sent(Index last) {
  if (state_ == State::kProbe) {
    probing_ = true;
  } else if (last >= next_) {
    in_flight_.push_back(last);
    next_ = last + 1;
  }
}

void Progress::Accepted(Index match) {
  match_ = std::max(match_, match);
  if (state_ == State::kReplicate) {
    while (!in_flight_.empty() && in_flight_.front() <= match_) in_flight_.pop_front();
    next_ = std::max(next_, match_ + 1);
    return;
  }
  Become(State::kReplicate);
  next_ = match_ + 1;
}

bool Progress::Refused(Index prev, Index agree) {
  if (state_ == State::kSnapshot || prev <= match_) return false;
  // A probe is refused once; what else is refused was sent before it.
  if (state_ == State::kProbe && prev != next_ - 1) return false;
  Become(State::kProbe);
  next_ = std::max(match_, std::min(agree, prev - 1)) + 1;
  return true;
}

void Progress::BecomeProbe() {
  Become(State::kProbe);
  next_ = match_ + 1;
}

void Progress::Become(State state) {
  state_ = state;
  probing_ = false;
  reading_ = false;
  in_flight_.clear();
}

void Progress::SentRound(std::uint64_t round, Time now) {
  if (round > sent_round && timed_round == 0) {
    timed_round = round;
    timed_at = now;
  }
  sent_round = std::max(sent_round, round);
}

void Progress::Echoed(std::uint64_t round, Time now) {
  echo = std::max(echo, round);
  if (timed_round == 0 || round < timed_round) return;
  const Micros sample = std::max<Micros>(now - timed_at, 1);
  srtt = srtt == 0 ? sample : (7 * srtt + sample) / 8;
  timed_round = 0;
}

Micros Progress::ResponseTime(Time now) const {
  const Micros usual = srtt == 0 ? kMillisecond : srtt;
  return timed_round == 0 ? usual : std::max(usual, now - timed_at);
}

}  // namespace coppice::raft
