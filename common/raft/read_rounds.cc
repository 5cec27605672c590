#include "common/raft/read_rounds.h"

#include "common/base/mutant.h"

namespace coppice::raft {

void ReadRounds::Begin(std::uint64_t id, Index commit) {
  if (!COPPICE_MUTANT(kRoundBeforeReceipt)) ++round_;
  waiting_.push_back({id, round_, commit});
}

void ReadRounds::Release(Index commit) {
  ++round_;
  for (const std::uint64_t id : held_) waiting_.push_back({id, round_, commit});
  held_.clear();
}

void ReadRounds::Confirm(std::uint64_t round, std::vector<ReadReady>& ready) {
  while (!waiting_.empty() && waiting_.front().round <= round) {
    ready.push_back({waiting_.front().id, waiting_.front().index});
    waiting_.pop_front();
  }
}

void ReadRounds::RefuseAll(std::vector<ReadRefused>& refused) {
  for (const Waiting& read : waiting_) refused.push_back({read.id});
  for (const std::uint64_t id : held_) refused.push_back({id});
  waiting_.clear();
  held_.clear();
}

}  // namespace coppice::raft
