#include "common/client/core.h"

#include <algorithm>
#include <string>

#include "common/base/check.h"

namespace coppice::client {
namespace {

// etcd's words, which its users look for.
constexpr std::string_view kDeadlineExceeded = "context deadline exceeded";
constexpr std::uint32_t kAttemptDoublingsMax = 4;
constexpr std::string_view kOtherCluster = "etcdserver: cluster ID mismatch";

Status OutOfTime(const Status& last) {
  std::string message(kDeadlineExceeded);
  if (!last.ok()) message += "; the last attempt: " + std::string(MessageOf(last));
  return MakeStatus(StatusCode::kDeadlineExceeded, message);
}

}  // namespace

Core::Core(const CoreOptions& options, Rng rng)
    : options_(options),
      endpoints_(options.endpoints, options.prefer, Rng(rng.Next())),
      rng_(rng) {}

void Core::Step(Time now, const Input& input, Effects& out) {
  now_ = now;
  out_ = &out;
  std::visit([this](const auto& one) { On(one); }, input);
  out_ = nullptr;
}

void Core::On(const Begin& begin) {
  const auto [entry, is_new] = requests_.try_emplace(begin.id);
  COPPICE_CHECK(is_new, "a request's id is its own");
  Request& request = entry->second;
  request.kind = begin.kind;
  request.deadline = begin.deadline;
  request.options = begin.options;
  if (begin.kind == Kind::kWatch) {
    request.watch =
        WatchResume(begin.watch_start, begin.options.in_session ? session_.revision() : 0);
  }
  if (endpoints_.size() == 0 || begin.options.endpoint.value_or(0) >= endpoints_.size()) {
    return FinishWith(entry, Outcome::kNotDone,
                      MakeStatus(StatusCode::kInvalidArgument, "no such endpoint"));
  }
  if (begin.deadline <= now_) return FinishWith(entry, Outcome::kNotDone, OutOfTime(OkStatus()));
  request.tried.assign(endpoints_.size(), false);
  Dispatch(entry);
}

void Core::On(const Answered& answered) {
  const Entry entry = FindAttempt(answered.id, answered.attempt);
  if (entry == requests_.end()) return;
  endpoints_.Well(entry->second.endpoint);
  EndAttempt(entry, false);
  if (!entry->second.options.in_session || session_.Observe(answered.header)) {
    return FinishWith(entry, Outcome::kOk, OkStatus());
  }
  // The addresses lead to another cluster now, or a restore gave it a new id.
  const bool done_there = entry->second.kind == Kind::kMutation;
  FinishWith(entry, done_there ? Outcome::kUnknown : Outcome::kNotDone,
             MakeStatus(StatusCode::kFailedPrecondition, kOtherCluster));
}

void Core::On(const Failed& failed) {
  const Entry entry = FindAttempt(failed.id, failed.attempt);
  if (entry == requests_.end()) return;
  Request& request = entry->second;
  EndAttempt(entry, false);
  request.reached |= !failed.unreached;
  request.tried[request.endpoint] = true;  // even if its stream stood for long
  request.last = failed.status;
  Verdict verdict = Judge(request.kind, failed);
  // The attempt's own deadline, not the request's.
  const bool late = failed.status.code() == StatusCode::kDeadlineExceeded;
  if (late && request.kind != Kind::kMutation && now_ < request.deadline) {
    verdict = Verdict::kRepeat;
    ++request.late;
  }
  const bool ill = failed.unreached || late || verdict == Verdict::kRepeat;
  if (ill && !failed.status.ok()) {
    endpoints_.Ill(now_, request.endpoint);
  } else {
    endpoints_.Well(request.endpoint);
  }
  switch (verdict) {
    case Verdict::kRepeat:
      return TryNext(entry);
    case Verdict::kFinishNotDone:
      return FinishWith(entry, Outcome::kNotDone, failed.status);
    case Verdict::kFinishUnknown:
      return FinishWith(entry, Outcome::kUnknown, failed.status);
  }
}

void Core::On(const WatchReceived& received) {
  const Entry entry = FindAttempt(received.id, received.attempt);
  if (entry == requests_.end()) return;
  Request& request = entry->second;
  if (request.options.in_session && !session_.Observe(received.reply.header)) {
    EndAttempt(entry, true);
    return FinishWith(entry, Outcome::kNotDone,
                      MakeStatus(StatusCode::kFailedPrecondition, kOtherCluster));
  }
  endpoints_.Well(request.endpoint);
  if (received.reply.created && !received.reply.canceled) {
    // It stands: from now on silence is no failure, and the next break begins a new round of tries.
    request.attempt_until = kNever;
    request.passes = 0;
    request.unreached_passes = 0;
    request.late = 0;
    std::fill(request.tried.begin(), request.tried.end(), false);
    Schedule(entry);
  }
  const WatchResume::Step step = request.watch.OnReply(received.reply);
  if (const auto* opened = std::get_if<WatchResume::Opened>(&step)) {
    out_->push_back(WatchOpened{received.id, opened->revision});
  } else if (const auto* deliver = std::get_if<WatchResume::Deliver>(&step)) {
    out_->push_back(WatchDeliver{received.id, deliver->from, deliver->through});
  } else if (const auto* end = std::get_if<WatchResume::End>(&step)) {
    EndAttempt(entry, true);
    FinishWith(entry, Outcome::kNotDone, end->status, end->compact_revision);
  } else if (std::holds_alternative<WatchResume::Reopen>(step)) {
    ReopenWatch(entry);
  }
}

void Core::On(const EndpointUp& up) {
  endpoints_.Well(up.endpoint);
}
void Core::On(const EndpointDown& down) {
  endpoints_.Ill(now_, down.endpoint);
}

void Core::On(const CancelRequest& cancel) {
  const Entry entry = requests_.find(cancel.id);
  if (entry == requests_.end()) return;
  const bool maybe = entry->second.sent && entry->second.kind == Kind::kMutation;
  EndAttempt(entry, true);
  FinishWith(entry, maybe ? Outcome::kUnknown : Outcome::kNotDone,
             MakeStatus(StatusCode::kCancelled, "context canceled"));
}

void Core::On(const Timer& /*timer*/) {
  while (!due_.empty() && due_.begin()->first <= now_) {
    OnDue(requests_.find(due_.begin()->second));
  }
}

void Core::OnDue(Entry entry) {
  Request& request = entry->second;
  if (request.deadline <= now_) {
    const bool maybe = request.sent && request.kind == Kind::kMutation;
    EndAttempt(entry, true);
    return FinishWith(entry, maybe ? Outcome::kUnknown : Outcome::kNotDone,
                      OutOfTime(request.last));
  }
  if (request.sent) {
    ++request.late;
    request.last = MakeStatus(StatusCode::kUnavailable, "no answer in time");
    endpoints_.Ill(now_, request.endpoint);
    EndAttempt(entry, true);
    return TryNext(entry);
  }
  request.retry_at = kNever;
  Dispatch(entry);
}

Core::Entry Core::FindAttempt(RequestId id, std::uint32_t attempt) {
  const Entry entry = requests_.find(id);
  const bool current =
      entry != requests_.end() && entry->second.sent && entry->second.attempt == attempt;
  return current ? entry : requests_.end();
}

void Core::Dispatch(Entry entry) {
  Request& request = entry->second;
  if (request.options.endpoint) return SendTo(entry, *request.options.endpoint);
  const auto endpoint = endpoints_.Choose(now_, request.tried);
  COPPICE_CHECK(endpoint.has_value(), "a pass ends before its endpoints do");
  SendTo(entry, *endpoint);
}

void Core::SendTo(Entry entry, std::size_t endpoint) {
  Request& request = entry->second;
  request.endpoint = endpoint;
  request.sent = true;
  ++request.attempt;
  request.tried[endpoint] = true;
  const bool elsewhere = endpoints_.size() > 1 && !request.options.endpoint;
  request.attempt_until = kNever;
  if (request.kind == Kind::kWatch || (elsewhere && request.kind == Kind::kRead)) {
    // What takes long everywhere must come to its end somewhere.
    const auto rounds = static_cast<std::uint32_t>(request.late / endpoints_.size());
    const std::uint32_t doublings = std::min(rounds, kAttemptDoublingsMax);
    request.attempt_until = now_ + (options_.attempt_timeout << doublings);
  }
  endpoints_.Sent(endpoint);
  if (request.kind == Kind::kWatch) request.watch.OnStream();
  Schedule(entry);
  Send send;
  send.id = entry->first;
  send.attempt = request.attempt;
  send.endpoint = endpoint;
  // A watch's stream outlives the time that it has to open.
  send.deadline = request.kind == Kind::kWatch ? request.deadline
                                               : std::min(request.deadline, request.attempt_until);
  send.metadata = MetadataFor(request.options, session_);
  send.watch_start = request.watch.next();
  out_->push_back(std::move(send));
}

void Core::TryNext(Entry entry) {
  const Request& request = entry->second;
  const bool all =
      request.options.endpoint.has_value() ||
      std::all_of(request.tried.begin(), request.tried.end(), [](bool t) { return t; });
  all ? EndPass(entry) : Dispatch(entry);
}

void Core::EndPass(Entry entry) {
  Request& request = entry->second;
  request.unreached_passes = request.reached ? 0 : request.unreached_passes + 1;
  request.reached = false;
  std::fill(request.tried.begin(), request.tried.end(), false);
  if (options_.unreached_passes_max != 0 && !request.watch.opened() &&
      request.unreached_passes >= options_.unreached_passes_max) {
    return FinishWith(entry, Outcome::kNotDone, request.last);
  }
  request.retry_at = now_ + Backoff(options_.backoff, ++request.passes, rng_);
  Schedule(entry);
}

void Core::ReopenWatch(Entry entry) {
  Request& request = entry->second;
  request.reached = true;
  request.tried[request.endpoint] = true;
  request.last = MakeStatus(StatusCode::kUnavailable, "the server gave the watch up");
  endpoints_.Ill(now_, request.endpoint);
  EndAttempt(entry, true);
  TryNext(entry);
}

void Core::EndAttempt(Entry entry, bool abandon) {
  Request& request = entry->second;
  if (!request.sent) return;
  request.sent = false;
  request.attempt_until = kNever;
  endpoints_.Done(request.endpoint);
  Schedule(entry);
  if (abandon) out_->push_back(Abandon{entry->first, request.attempt});
}

void Core::FinishWith(Entry entry, Outcome outcome, Status status, Revision compact_revision) {
  out_->push_back(Finish{entry->first, outcome, std::move(status), compact_revision});
  due_.erase({entry->second.due, entry->first});
  requests_.erase(entry);
}

void Core::Schedule(Entry entry) {
  Request& request = entry->second;
  const Time due =
      std::min(request.deadline, request.sent ? request.attempt_until : request.retry_at);
  if (due == request.due) return;
  due_.erase({request.due, entry->first});
  request.due = due;
  if (due != kNever) due_.insert({due, entry->first});
}

}  // namespace coppice::client
