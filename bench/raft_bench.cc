// The Raft core alone: what a proposal and a read round cost a leader of five, without I/O.

#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/raft/core.h"

namespace coppice::raft {
namespace {

constexpr std::uint64_t kVoters = 5;

// A leader whose followers answer whatever it sends them.
class Leader {
 public:
  Leader() {
    BootState boot;
    for (std::uint64_t id = 1; id <= kVoters; ++id) boot.configuration.voters.emplace_back(id);
    Config config;
    config.id = NodeId(1);
    core_ = std::make_unique<Core>(config, boot, Rng(1), now_);
    now_ = core_->NextDeadline();
    Step(Timer{});
    for (std::uint64_t id = 2; id <= 3; ++id)
      Step(Received{NodeId(id), PreVoteReply{Term(1), true}});
    for (std::uint64_t id = 2; id <= 3; ++id) Step(Received{NodeId(id), VoteReply{Term(1), true}});
    COPPICE_CHECK(core_->status().role == Role::kLeader);
    Settle();
  }

  void Step(Input input) { core_->Step(++now_, std::move(input), out_); }

  // Syncs, lets every follower answer, and applies, until nothing is left to do.
  void Settle() {
    while (out_.needs_sync() || !out_.send_now.empty()) {
      std::swap(out_, turn_);
      out_.Clear();
      for (const Outbound& sent : turn_.send_now) Answer(sent);
      if (!turn_.append.empty()) {
        Step(Appended{turn_.append.back()->term(), turn_.append.back()->index()});
      }
      if (!out_.apply.empty()) Step(Applied{out_.apply.back()->index()});
    }
    reads_ += out_.reads.size();
    out_.Clear();
  }
  std::size_t reads() const { return reads_; }

 private:
  void Answer(const Outbound& sent) {
    const auto* append = std::get_if<Append>(&sent.message);
    if (append == nullptr) return;
    // As followers do, a commit index alone is not answered.
    if (append->entries.empty() && append->round <= answered_.at(sent.to.value())) return;
    answered_.at(sent.to.value()) = append->round;
    AppendReply reply;
    reply.term = append->term;
    reply.ok = true;
    reply.match = append->prev_index + append->entries.size();
    reply.round = append->round;
    Step(Received{sent.to, reply});
    reads_ += out_.reads.size();
    out_.reads.clear();
  }

  Time now_ = kSecond;
  std::unique_ptr<Core> core_;
  Output out_;
  Output turn_;
  std::array<std::uint64_t, kVoters + 1> answered_{};  // the newest round each echoed
  std::size_t reads_ = 0;
};

// From proposal to apply at the leader, four followers' answers included.
void BM_RaftPropose(benchmark::State& state) {
  Leader leader;
  const std::string value(256, 'v');
  const std::uint32_t crc = Entry::PayloadCrc(value);
  const auto batch = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    Propose propose;
    for (std::size_t i = 0; i < batch; ++i) {
      propose.proposals.push_back({i, RecordKind::kCommand, value, crc});
    }
    state.ResumeTiming();
    leader.Step(std::move(propose));
    leader.Settle();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_RaftPropose)->Arg(1)->Arg(64)->Arg(256);

// A ReadIndex round: probes to two followers and their answers.
void BM_RaftReadRound(benchmark::State& state) {
  Leader leader;
  std::uint64_t id = 0;
  for (auto _ : state) {
    leader.Step(ReadIndexRequest{++id});
    leader.Settle();
  }
  COPPICE_CHECK(leader.reads() == id, "every read is answered");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RaftReadRound);

}  // namespace
}  // namespace coppice::raft
