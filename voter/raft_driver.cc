#include "voter/raft_driver.h"

#include <sysexits.h>

#include <utility>

#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/log.h"
#include "common/base/mutant.h"

namespace coppice::voter {
namespace {

constexpr Micros kSpaceRetry = 500 * kMillisecond;
constexpr Micros kSayMissing = 30 * kSecond;
constexpr std::size_t kQueuedMax = 1U << 16;
constexpr std::size_t kQueuedBytesMax = 64U << 20;

bool Differs(const raft::Status& a, const raft::Status& b) {
  return a.role != b.role || a.term != b.term || a.leader != b.leader || a.commit != b.commit;
}

}  // namespace

RaftDriver::RaftDriver(io::Loop& loop, node::Host& host, const Options& options,
                       std::unique_ptr<raft::Core> core, std::unique_ptr<wal::Wal> wal, Hooks hooks)
    : loop_(loop),
      clock_(host.clock()),
      options_(options),
      core_(std::move(core)),
      wal_(std::move(wal)),
      syncer_(host.MakeWorker(loop, "sync")),
      hooks_(std::move(hooks)),
      sync_place_(options.sync_place) {
  status_ = core_->status();
  saved_ = core_->hard_state();
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
  if (stalled_ && !Perform(now)) return Stall();
  if (now >= core_->NextDeadline()) inputs_.emplace_back(raft::Timer{});
  Resign(now);
  bool due = std::exchange(sync_ended_, false);
  while (StepAll(now) || due) {
    due = false;
    if (!Perform(now)) return Stall();
  }
  Report(core_->status());
  hooks_.turn_done();
  ArmTimer();
}

// What needs no disk goes out all the same. Who cannot write leads nobody and hears nobody,
// whatever the core, which gets no input, believes: its clients are to find those that can.
void RaftDriver::Stall() {
  if (ended_) return;
  DeliverEntries();
  DeliverReads();
  raft::Status status = core_->status();
  status.role = raft::Role::kFollower;
  status.leader = NodeId();
  Report(status);
  hooks_.turn_done();
  RetryLater();
}

void RaftDriver::Report(const raft::Status& status) {
  if (!Differs(status, status_)) return;
  status_ = status;
  hooks_.changed(status_);
}

bool RaftDriver::StepAll(Time now) {
  if (inputs_.empty() && proposals_.proposals.empty()) return false;
  std::vector<raft::Input> inputs;
  inputs.swap(inputs_);
  for (raft::Input& input : inputs) {
    if (std::holds_alternative<raft::ReadIndexRequest>(input)) {
      failpoint::Pass("read_index.received");
    }
    Step(now, std::move(input));
  }
  if (!proposals_.proposals.empty()) {
    proposal_bytes_ = 0;
    Step(now, std::exchange(proposals_, {}));
  }
  return true;
}

// Answers that share an Output with a write wait for it. Where that takes long, each input has its
// own, so that only those wait that must.
void RaftDriver::Step(Time now, raft::Input input) {
  if (!sync_place_.Apart(now)) return core_->Step(now, std::move(input), out_);
  core_->Step(now, std::move(input), step_);
  out_.Take(step_);
}

// False: nothing more happens until there is space; or ever, as the log failed.
bool RaftDriver::Perform(Time now) {
  Send(std::exchange(out_.send_now, {}));
  if (COPPICE_MUTANT(kApplyPastDisk)) DeliverEntries();
  if (write_) {
    ReadLog();
    DeliverEntries();
    DeliverReads();
    return true;
  }
  if (out_.needs_sync() && !(WriteLog() && SyncLog(now))) return false;
  Send(out_.send_after_durable);
  ReadLog();
  for (const raft::ProposeResult& result : out_.proposed) hooks_.proposed(result);
  if (!out_.append.empty() && hooks_.appended) hooks_.appended(out_.append);
  DeliverEntries();
  DeliverReads();
  SayMissing();
  out_.Clear();
  return true;
}

void RaftDriver::Send(std::span<const raft::Outbound> messages) {
  for (const raft::Outbound& outbound : messages) hooks_.send(outbound.to, outbound.message);
}

// The peers get on without a log that is stuck, if somebody else leads.
void RaftDriver::Resign(Time now) {
  if (!write_ || now < write_->resign_at || status_.role != raft::Role::kLeader) return;
  write_->resign_at = now + options_.resign_after;
  COPPICE_LOG(kWarn, "the Raft log takes longer to sync than an election: handing over");
  inputs_.emplace_back(raft::ResignLeadership{});
}

void RaftDriver::EndProcess(const coppice::Status& status) {
  COPPICE_LOG(
      kError,
      "the Raft log cannot be written, so this voter ends: {}. What it acknowledged is on its "
      "peers; mend the disk, then start it again",
      MessageOf(status));
  ended_ = true;
  hooks_.end_process(EX_IOERR);
}

// False: the disk is full and nothing was written, so the log is as it was; or it failed.
bool RaftDriver::WriteLog() {
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
  return true;
}

// Of what was just written; takes the messages that wait for it out of out_. False: it failed.
bool RaftDriver::SyncLog(Time now) {
  write_.emplace();
  write_->messages.swap(out_.send_after_durable);
  write_->hard_state = out_.hard_state;
  write_->resign_at = now + options_.resign_after;
  if (!out_.append.empty()) {
    const EntryPtr& last = out_.append.back();
    write_->appended = raft::Appended{last->term(), last->index()};
  }
  auto sync = [this] {
    failpoint::Pass("wal.before_sync");
    const Time began = clock_.Now();
    const coppice::Status status = wal_->Sync();
    return Synced{status, clock_.Now() - began};
  };
  if (COPPICE_MUTANT(kAckBeforeFsync)) {
    OnSynced({});
  } else if (sync_place_.Apart(now)) {
    auto synced = std::make_shared<Synced>();
    syncer_->Run([sync, synced] { *synced = sync(); },
                 [this, synced] {
                   OnSynced(*synced);
                   sync_ended_ = true;
                   loop_.Wake(*this, io::Loop::Phase::kCore);
                 });
  } else {
    OnSynced(sync());
  }
  return !ended_;
}

void RaftDriver::OnSynced(const Synced& synced) {
  const Write write = std::move(*std::exchange(write_, std::nullopt));
  if (!synced.status.ok()) return EndProcess(synced.status);
  failpoint::Pass("wal.after_sync");
  sync_place_.Took(clock_.Now(), synced.took);
  if (write.hard_state) saved_ = *write.hard_state;
  Send(write.messages);
  if (write.appended) inputs_.emplace_back(*write.appended);
  if (COPPICE_MUTANT(kSyncCoversLater) && !out_.append.empty()) {
    const EntryPtr& last = out_.append.back();
    inputs_.emplace_back(raft::Appended{last->term(), last->index()});
  }
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
  for (const raft::ReadLog& wanted : std::exchange(out_.read_log, {})) {
    raft::EntriesRead read;
    read.peer = wanted.peer;
    const Status status = wal_->Read(wanted.from, wanted.to, wanted.bytes_max, read.entries);
    if (!status.ok()) {
      HandOverUnreadable(wanted.from, status);
    }
    inputs_.emplace_back(std::move(read));
  }
}

// The peer would never get on with this leader; another may be able to read what it lacks.
void RaftDriver::HandOverUnreadable(Index from, const coppice::Status& status) {
  if (loop_.now() < unreadable_resign_at_) return;
  COPPICE_LOG(kError, "cannot read the log for a peer from entry {} on: {}", from.value(),
              MessageOf(status));
  unreadable_resign_at_ = loop_.now() + options_.resign_after;
  inputs_.emplace_back(raft::ResignLeadership{});
}

// A leader asks for that where it cannot read the entries; one that has dropped them is not built.
void RaftDriver::SayMissing() {
  if (!out_.fetch_snapshot || loop_.now() < missing_said_at_) return;
  missing_said_at_ = loop_.now() + kSayMissing;
  COPPICE_LOG(
      kError,
      "voter {:x}, which leads, cannot read entries up to {} that this voter lacks: it waits "
      "for a leader that can",
      out_.fetch_snapshot->from.value(), out_.fetch_snapshot->index.value());
}

void RaftDriver::DeliverEntries() {
  if (out_.apply.empty()) return;
  const std::vector<EntryPtr> entries = std::exchange(out_.apply, {});
  hooks_.apply(entries);
  inputs_.emplace_back(raft::Applied{entries.back()->index()});
}

void RaftDriver::DeliverReads() {
  if (!out_.reads.empty()) failpoint::Pass("read_index.confirmed");
  for (const raft::ReadReady& read : out_.reads) hooks_.read_ready(read.id, read.index);
  out_.reads.clear();
  for (const raft::ReadRefused& read : out_.reads_refused) hooks_.read_refused(read.id);
  out_.reads_refused.clear();
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
