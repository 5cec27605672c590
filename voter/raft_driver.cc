#include "voter/raft_driver.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/log.h"
#include "common/base/mutant.h"

namespace coppice::voter {
namespace {

constexpr Micros kSpaceRetry = 500 * kMillisecond;
constexpr std::size_t kQueuedMax = 1U << 16;
constexpr std::size_t kQueuedBytesMax = 64U << 20;

constexpr int kIoError = 74;  // EX_IOERR

bool Differs(const raft::Status& a, const raft::Status& b) {
  return a.role != b.role || a.term != b.term || a.leader != b.leader || a.commit != b.commit;
}

}  // namespace

RaftDriver::RaftDriver(io::Loop& loop, std::unique_ptr<raft::Core> core,
                       std::unique_ptr<wal::Wal> wal, Hooks hooks)
    : loop_(loop), core_(std::move(core)), wal_(std::move(wal)), hooks_(std::move(hooks)) {
  status_ = core_->status();
}

RaftDriver::~RaftDriver() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

void RaftDriver::Start() {
  hooks_.changed(status_);
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void RaftDriver::Input(raft::Input input) {
  // A log that waits for space takes nothing that comes again: peers send anew, reads and
  // hand-overs are asked for anew.
  if (stalled_) {
    if (const auto* read = std::get_if<raft::ReadIndexRequest>(&input)) {
      return hooks_.read_refused(read->id);
    }
    if (std::holds_alternative<raft::Received>(input) ||
        std::holds_alternative<raft::TransferLeadership>(input)) {
      return;
    }
  }
  inputs_.push_back(std::move(input));
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

bool RaftDriver::Propose(raft::Proposal proposal) {
  const std::size_t bytes = proposal.payload.size();
  if (proposals_.proposals.size() >= kQueuedMax || proposal_bytes_ + bytes > kQueuedBytesMax) {
    return false;
  }
  proposal_bytes_ += bytes;
  proposals_.proposals.push_back(std::move(proposal));
  loop_.Wake(*this, io::Loop::Phase::kCore);
  return true;
}

void RaftDriver::OnTurn(Time now) {
  if (ended_) return;
  if (stalled_ && !Perform()) return RetryLater();
  if (now >= core_->NextDeadline()) inputs_.emplace_back(raft::Timer{});
  while (StepAll(now)) {
    if (!Perform()) return RetryLater();
  }
  const raft::Status status = core_->status();
  if (Differs(status, status_)) {
    status_ = status;
    hooks_.changed(status_);
  }
  hooks_.turn_done();
  ArmTimer();
}

bool RaftDriver::StepAll(Time now) {
  if (inputs_.empty() && proposals_.proposals.empty()) return false;
  std::vector<raft::Input> inputs;
  inputs.swap(inputs_);
  for (raft::Input& input : inputs) {
    if (std::holds_alternative<raft::ReadIndexRequest>(input)) {
      failpoint::Pass("read_index.received");
    }
    core_->Step(now, std::move(input), out_);
  }
  if (!proposals_.proposals.empty()) {
    proposal_bytes_ = 0;
    core_->Step(now, std::exchange(proposals_, {}), out_);
  }
  return true;
}

bool RaftDriver::Perform() {
  for (const raft::Outbound& outbound : std::exchange(out_.send_now, {})) {
    hooks_.send(outbound.to, outbound.message);
  }
  if (COPPICE_MUTANT(kApplyPastDisk)) DeliverEntries();
  if (!WriteLog()) return false;
  for (const raft::Outbound& outbound : out_.send_after_durable) {
    hooks_.send(outbound.to, outbound.message);
  }
  ReadLog();
  Deliver();
  out_.Clear();
  return true;
}

void RaftDriver::EndProcess(const coppice::Status& status) {
  COPPICE_LOG(
      kError,
      "the Raft log cannot be written, so this voter ends: {}. What it acknowledged is on its "
      "peers; mend the disk, then start it again",
      MessageOf(status));
  ended_ = true;
  hooks_.end_process(kIoError);
}

// False: the disk is full and nothing was written, so the log is as it was; or it failed.
bool RaftDriver::WriteLog() {
  if (!out_.needs_sync()) return true;
  std::optional<wal::HardState> hard_state;
  if (out_.hard_state) {
    hard_state =
        wal::HardState{out_.hard_state->term, out_.hard_state->vote, out_.hard_state->commit};
  }
  failpoint::Pass("wal.before_write");
  const coppice::Status status = wal_->Append(out_.append, hard_state);
  if (status.code() == StatusCode::kResourceExhausted) {
    if (!std::exchange(stalled_, true)) {
      COPPICE_LOG(kError, "{}. This voter takes no part until there is space", MessageOf(status));
    }
    return false;
  }
  if (!status.ok()) {
    EndProcess(status);
    return false;
  }
  if (std::exchange(stalled_, false)) COPPICE_LOG(kInfo, "there is space again: going on");
  failpoint::Pass("wal.before_sync");
  const bool sync = !COPPICE_MUTANT(kAckBeforeFsync);
  if (const coppice::Status synced = sync ? wal_->Sync() : OkStatus(); !synced.ok()) {
    EndProcess(synced);
    return false;
  }
  failpoint::Pass("wal.after_sync");
  if (!out_.append.empty()) {
    const EntryPtr& last = out_.append.back();
    inputs_.emplace_back(raft::Appended{last->term(), last->index()});
  }
  return true;
}

void RaftDriver::RetryLater() {
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = loop_.now() + kSpaceRetry;
  timer_ = loop_.RunAt(timer_at_, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

void RaftDriver::ReadLog() {
  for (const raft::ReadLog& wanted : out_.read_log) {
    raft::EntriesRead read;
    read.peer = wanted.peer;
    const Status status = wal_->Read(wanted.from, wanted.to, wanted.bytes_max, read.entries);
    if (!status.ok()) {
      COPPICE_LOG(kError, "cannot read the log for a peer from entry {} on: {}",
                  wanted.from.value(), MessageOf(status));
    }
    inputs_.emplace_back(std::move(read));
  }
}

void RaftDriver::Deliver() {
  for (const raft::ProposeResult& result : out_.proposed) hooks_.proposed(result);
  if (!out_.append.empty() && hooks_.appended) hooks_.appended(out_.append);
  DeliverEntries();
  if (!out_.reads.empty()) failpoint::Pass("read_index.confirmed");
  for (const raft::ReadReady& read : out_.reads) hooks_.read_ready(read.id, read.index);
  for (const raft::ReadRefused& read : out_.reads_refused) hooks_.read_refused(read.id);
}

void RaftDriver::DeliverEntries() {
  if (out_.apply.empty()) return;
  const std::vector<EntryPtr> entries = std::exchange(out_.apply, {});
  hooks_.apply(entries);
  inputs_.emplace_back(raft::Applied{entries.back()->index()});
}

void RaftDriver::ArmTimer() {
  const Time next = core_->NextDeadline();
  if (next == timer_at_) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_ = 0;
  timer_at_ = next;
  if (next == kNever) return;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

}  // namespace coppice::voter
