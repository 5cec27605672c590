#include "common/raft/core.h"

#include <algorithm>
#include <iterator>

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/raft/core_impl.h"

namespace coppice::raft {

void Output::Clear() {
  hard_state.reset();
  append.clear();
  send_now.clear();
  send_after_durable.clear();
  apply.clear();
  reads.clear();
  reads_refused.clear();
  proposed.clear();
  read_log.clear();
  fetch_snapshot.reset();
}

namespace {

template <typename T>
void MoveAll(std::vector<T>& from, std::vector<T>& to) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// What is overwritten before it was written is not written at all.
void AppendTo(std::vector<EntryPtr>& write, EntryPtr entry) {
  while (!write.empty() && write.back()->index() >= entry->index()) write.pop_back();
  write.push_back(std::move(entry));
}

}  // namespace

void Output::Take(Output& later) {
  if (later.hard_state) hard_state = later.hard_state;
  for (EntryPtr& entry : later.append) AppendTo(append, std::move(entry));
  MoveAll(later.send_now, send_now);
  MoveAll(later.send_after_durable, send_after_durable);
  MoveAll(later.apply, apply);
  MoveAll(later.reads, reads);
  MoveAll(later.reads_refused, reads_refused);
  MoveAll(later.proposed, proposed);
  MoveAll(later.read_log, read_log);
  if (later.fetch_snapshot) fetch_snapshot = later.fetch_snapshot;
  later.Clear();
}

Core::Core(const Config& config, const BootState& boot, Rng rng, Time now)
    : impl_(std::make_unique<Impl>(config, boot, rng, now)) {}
Core::~Core() = default;
Core::Core(Core&&) noexcept = default;

void Core::Step(Time now, Input input, Output& out) {
  impl_->Step(now, std::move(input), out);
}
Time Core::NextDeadline() const {
  return impl_->NextDeadline();
}
Status Core::status() const {
  return impl_->status();
}
HardState Core::hard_state() const {
  return impl_->hard_state();
}
Term Core::TermAt(Index index) const {
  return impl_->log().TermAt(index);
}
bool Core::WantsSnapshot(Index index, Term term) const {
  return impl_->WantsSnapshot(index, term);
}
void Core::CommittedWindow(Index from, std::size_t bytes_max, std::vector<EntryPtr>& out) const {
  if (from < impl_->log().first_in_window() || from > impl_->commit()) return;
  impl_->log().Copy(from, impl_->commit(), bytes_max, out);
}

Core::Impl::Impl(const Config& config, const BootState& boot, Rng rng, Time now)
    : config_(config),
      rng_(rng),
      term_(boot.hard_state.term),
      vote_(boot.hard_state.vote),
      log_(boot),
      commit_(std::max(boot.applied, std::min(boot.hard_state.commit, boot.last_index))),
      durable_(boot.last_index),
      handed_(boot.applied),
      applied_(boot.applied),
      now_(now) {
  configurations_.emplace_back(boot.applied, boot.configuration);
  for (const EntryPtr& entry : boot.window) {
    const bool fresh = entry->index() > boot.applied;
    if (fresh && entry->kind() == RecordKind::kConfiguration) ConfigurationAppended(*entry);
  }
  Follower follower;
  follower.election_at = DrawElectionTime();
  // Nobody else could be leading a cluster of one.
  if (CanCampaign() && VotersOf(configuration()).size() == 1) follower.election_at = now;
  role_ = follower;
}

void Core::Impl::Step(Time now, Input input, Output& out) {
  COPPICE_DCHECK(now >= now_, "time is monotonic");
  now_ = now;
  out_ = &out;
  std::visit([this](auto& in) { On(in); }, input);
  HandOut();
  CheckInvariants();
}

Time Core::Impl::NextDeadline() const {
  if (const auto* leader = std::get_if<Leader>(&role_)) return LeaderDeadline(*leader);
  return CanCampaign() ? *ElectionTime() : kNever;
}

Status Core::Impl::status() const {
  Status status;
  status.role = static_cast<Role>(role_.index());
  status.term = term_;
  status.leader = LeaderId();
  status.commit = commit_;
  status.last_index = log_.last_index();
  status.durable = durable_;
  status.first_in_window = log_.first_in_window();
  status.configuration = configuration();
  return status;
}

NodeId Core::Impl::LeaderId() const {
  if (std::holds_alternative<Leader>(role_)) return config_.id;
  const auto* follower = std::get_if<Follower>(&role_);
  return follower != nullptr ? follower->leader : NodeId(0);
}

void Core::Impl::On(const Timer&) {
  if (Leader* leads = leader()) {
    LeaderTimer(*leads);
  } else if (CanCampaign() && now_ >= *ElectionTime()) {
    BecomePreCandidate();
  }
}

void Core::Impl::On(Received& input) {
  if (input.from == config_.id || !EnterTermOf(input.from, input.message)) return;
  std::visit([this, &input](auto& m) { On(input.from, m); }, input.message);
}

bool Core::Impl::EnterTermOf(NodeId from, const Message& message) {
  const Term term = TermOf(message);
  // A pre-vote and its grant name a term that nobody is in yet.
  if (std::holds_alternative<PreVoteRequest>(message)) return true;
  if (const auto* reply = std::get_if<PreVoteReply>(&message); reply && reply->granted) return true;
  if (term == term_) return true;
  if (term < term_) return RefuseOldTerm(from, message);
  if (const auto* request = std::get_if<VoteRequest>(&message)) {
    // Thesis section 4.2.3: a server that was removed, or cut off, must not depose a leader that
    // we hear; only the leader's own wish overrides it.
    if (HearsLeader() && !request->transfer) return false;
  }
  const bool from_leader = std::holds_alternative<Append>(message) ||
                           std::holds_alternative<InstallSnapshot>(message) ||
                           std::holds_alternative<TimeoutNow>(message);
  BecomeFollower(term, from_leader ? from : NodeId(0));
  return true;
}

bool Core::Impl::RefuseOldTerm(NodeId from, const Message& message) {
  // Our term makes a deposed leader step down, and a candidate catch up.
  if (const auto* append = std::get_if<Append>(&message)) {
    AppendReply reply;
    reply.term = term_;
    reply.prev_index = append->prev_index;
    SendNow(from, reply);
  } else if (std::holds_alternative<InstallSnapshot>(message)) {
    SendNow(from, SnapshotReply{term_, Index(0), false});
  } else if (std::holds_alternative<VoteRequest>(message)) {
    SendNow(from, VoteReply{term_, false});
  }
  return false;
}

void Core::Impl::On(const Appended& input) {
  // What was overwritten since does not count, though its write has finished.
  if (!log_.Matches(input.index, input.term) || input.index <= durable_) return;
  durable_ = input.index;
  if (Leader* leads = leader()) {
    AdvanceLeaderCommit(*leads);
  } else if (Follower* follows = follower()) {
    LogDurable(*follows);
  }
}

void Core::Impl::On(const Applied& input) {
  if (input.index <= applied_) return;
  applied_ = input.index;
  log_.TrimWindow(applied_, config_.window_bytes_max);
}

void Core::Impl::On(const LogCompacted& input) {
  COPPICE_CHECK(input.index <= applied_, "what is not applied is needed");
  log_.Compact(input.index);
}

void Core::Impl::SendNow(NodeId to, Message message) {
  out_->send_now.push_back({to, std::move(message)});
}

void Core::Impl::SendAfterDurable(NodeId to, Message message) {
  out_->send_after_durable.push_back({to, std::move(message)});
}

// The commit index goes no further than the disk: this record may survive a write whose entries
// are torn off, and would then stand over older ones of the same indexes that were never committed.
void Core::Impl::SaveHardState() {
  out_->hard_state = HardState{term_, vote_, std::min(commit_, durable_)};
}

void Core::Impl::AppendEntry(EntryPtr entry) {
  if (entry->kind() == RecordKind::kConfiguration) {
    ConfigurationAppended(*entry);
  }
  AppendTo(out_->append, entry);
  log_.Append(std::move(entry));
}

void Core::Impl::HandOut() {
  Index to = std::min(commit_, durable_);
  if (COPPICE_MUTANT(kReplyBeforeCommit)) to = durable_;
  if (COPPICE_MUTANT(kApplyPastDisk)) to = commit_;
  if (to <= handed_) return;
  log_.Copy(handed_ + 1, to, SIZE_MAX, out_->apply);
  handed_ = to;
}

void Core::Impl::CheckInvariants() {
#ifndef NDEBUG
  invariants_.Check({config_.id, HardState{term_, vote_, commit_}, durable_, handed_, applied_,
                     &log_, &role_, &configuration()});
#endif
}

}  // namespace coppice::raft
