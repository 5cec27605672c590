#include "common/api/watch_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/base/mutant.h"

namespace coppice::api {
namespace {

constexpr std::int64_t kNoWatchId = -1;
// etcd's strings, which clients compare.
constexpr std::string_view kCompacted = "etcdserver: mvcc: required revision has been compacted";
constexpr std::string_view kEmptyRange = "mvcc: watcher range is empty";
constexpr std::string_view kDuplicateId = "mvcc: duplicate watch ID provided on the WatchStream";

// WatchResponse's field numbers.
constexpr std::uint32_t kHeaderField = 1;
constexpr std::uint32_t kWatchIdField = 2;
constexpr std::uint32_t kCreatedField = 3;
constexpr std::uint32_t kCanceledField = 4;
constexpr std::uint32_t kCompactRevisionField = 5;
constexpr std::uint32_t kCancelReasonField = 6;
constexpr std::uint32_t kFragmentField = 7;

// Watcher::flags
constexpr std::uint8_t kFragment = 1;
constexpr std::uint8_t kNotify = 2;
constexpr std::uint8_t kQuiet = 4;         // no events since the last progress tick
constexpr std::uint8_t kDue = 8;           // its progress waits to be sent
constexpr std::uint8_t kStartsAtNow = 16;  // start_revision was 0

// Nothing is wrong with such a request, only with the moment: the stream ends, so that clients try
// again by themselves. Others are refused one by one.
bool Temporary(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded ||
         code == StatusCode::kResourceExhausted || code == StatusCode::kInternal ||
         code == StatusCode::kAborted || code == StatusCode::kUnknown;
}

}  // namespace

void WatchHeader::SetTerm(std::uint64_t term) {
  if (term == term_) return;
  term_ = term;
  revision_ = -1;
}

std::string_view WatchHeader::Encode(Revision revision) {
  if (revision == revision_) return bytes_;
  revision_ = revision;
  std::string header;
  PutIntField(header, 1, cluster_id_);
  PutIntField(header, 2, member_id_);
  PutIntField(header, 3, static_cast<std::uint64_t>(revision));
  PutIntField(header, 4, term_);
  bytes_.clear();
  PutBytesField(bytes_, kHeaderField, header);
  return bytes_;
}

WatchSession::WatchSession(const WatchSessionOptions& options, mvcc::WatchSource& source,
                           WatchHeader& header, WatchOut& out, Time now)
    : options_(options),
      source_(source),
      header_(header),
      out_(out),
      rng_(options.seed),
      now_(now) {}

WatchSession::~WatchSession() {
  for (const auto& [id, watcher] : watchers_) source_.Close(*watcher);
  for (const Pending& pending : pending_) {
    if (pending.prepared != nullptr) source_.Close(*pending.prepared);
  }
}

void WatchSession::OnMessage(Time now, std::string_view message) {
  now_ = now;
  if (finish_.has_value()) return;
  WatchRequest request;
  if (!ParseWatchRequest(message, request)) {
    finish_ = MakeStatus(StatusCode::kInternal, "grpc: failed to unmarshal the received message");
    return;
  }
  switch (request.kind) {
    case WatchRequest::Kind::kCreate:
      Create(std::move(request));
      break;
    case WatchRequest::Kind::kCancel:
      if (pending_.empty()) {
        Cancel(request.cancel_id);
      } else if (!TooManyPending()) {
        pending_.push_back({.request = std::move(request), .ticket = ++tickets_});
      }
      break;
    case WatchRequest::Kind::kProgress:
      progress_asked_ = true;
      TryStreamProgress();
      break;
    case WatchRequest::Kind::kNone:
      break;
  }
}

bool WatchSession::TooManyPending() {
  if (pending_.size() < options_.requests_max) return false;
  finish_ = MakeStatus(StatusCode::kResourceExhausted, "etcdserver: too many requests");
  return true;
}

void WatchSession::Create(WatchRequest request) {
  if (TooManyPending()) return;
  Pending pending{.request = std::move(request), .ticket = ++tickets_};
  const WatchCreate& create = pending.request.create;
  if (create.start < 0) {
    pending.refused = kCompacted;
  } else if (create.range.Empty()) {
    pending.refused = kEmptyRange;
  } else {
    admissions_.push_back({pending.ticket, create.range});
  }
  pending_.push_back(std::move(pending));
  Pump();
}

std::vector<WatchSession::Admission> WatchSession::TakeAdmissions() {
  return std::exchange(admissions_, {});
}

void WatchSession::OnAdmitted(Time now, std::uint64_t ticket, const Status& status,
                              Revision revision) {
  now_ = now;
  if (finish_.has_value()) return;
  const auto it = std::lower_bound(pending_.begin(), pending_.end(), ticket,
                                   [](const Pending& p, std::uint64_t t) { return p.ticket < t; });
  COPPICE_CHECK(it != pending_.end() && it->ticket == ticket && it->prepared == nullptr,
                "a ticket is answered once");
  if (status.ok()) {
    const WatchCreate& create = it->request.create;
    it->prepared = source_.Prepare({.range = create.range,
                                    .filters = create.filters,
                                    .prev_kv = create.prev_kv,
                                    .start = create.start,
                                    .min_revision = std::max(revision, options_.min_revision)},
                                   *this);
  } else if (Temporary(status.code())) {
    finish_ = status;
    return;
  } else {
    it->refused = MessageOf(status);
  }
  Pump();
}

void WatchSession::Pump() {
  while (!pending_.empty() && Answer(pending_.front())) pending_.pop_front();
  if (pending_.empty()) TryStreamProgress();
}

bool WatchSession::Answer(Pending& pending) {
  if (pending.request.kind == WatchRequest::Kind::kCancel) {
    Cancel(pending.request.cancel_id);
    return true;
  }
  if (!pending.refused.empty()) {
    SendRefused(pending.refused);
    return true;
  }
  return pending.prepared != nullptr && Open(pending);
}

bool WatchSession::Open(Pending& pending) {
  const WatchCreate& create = pending.request.create;
  mvcc::Watcher& watcher = *pending.prepared;
  if (create.watch_id != 0 && watchers_.contains(create.watch_id)) {
    source_.Close(watcher);
    SendRefused(kDuplicateId);
    return true;
  }
  watcher.id = create.watch_id;
  if (create.watch_id == 0) {
    while (watchers_.contains(next_id_)) ++next_id_;
    watcher.id = next_id_;
  }
  watcher.flags = static_cast<std::uint8_t>((create.fragment ? kFragment : 0) |
                                            (create.progress_notify ? kNotify | kQuiet : 0) |
                                            (create.start == 0 ? kStartsAtNow : 0));
  if (!source_.TryOpen(watcher)) return false;  // after true it may be gone already
  if (create.watch_id == 0) ++next_id_;
  return true;
}

void WatchSession::OnReady(mvcc::Watcher& /*watcher*/) {
  out_.WantPoll();
}

void WatchSession::OnOpened(mvcc::Watcher& watcher, Revision at) {
  watchers_.emplace(watcher.id, &watcher);
  if ((watcher.flags & kNotify) != 0 && ++notified_ == 1) ScheduleProgress();
  const bool from_now = (watcher.flags & kStartsAtNow) != 0;
  COPPICE_CHECK(!from_now || at >= floor, "created.header.revision is start - 1");
  Send(at, {.watch_id = watcher.id, .created = true});
}

void WatchSession::Cancel(std::int64_t id) {
  const auto it = watchers_.find(id);
  if (it == watchers_.end()) return;  // as etcd: no answer
  mvcc::Watcher& watcher = *it->second;
  Forget(watcher);
  source_.Close(watcher);
  Send(AnyRevision(), {.watch_id = id, .canceled = true});
  TryStreamProgress();
}

void WatchSession::OnCanceled(mvcc::Watcher& watcher, Revision compact_revision,
                              std::string_view reason) {
  Forget(watcher);
  Send(AnyRevision(), {.watch_id = watcher.id,
                       .canceled = true,
                       .compact_revision = compact_revision,
                       .cancel_reason = reason});
  if (progress_asked_) out_.WantPoll();
}

void WatchSession::Forget(mvcc::Watcher& watcher) {
  watchers_.erase(watcher.id);
  if (laggard_ == &watcher) laggard_ = nullptr;
  if ((watcher.flags & kNotify) != 0) --notified_;
  if ((watcher.flags & kDue) != 0) --due_;
}

void WatchSession::SendRefused(std::string_view reason) {
  Send(AnyRevision(),
       {.watch_id = kNoWatchId, .created = true, .canceled = true, .cancel_reason = reason});
}

Revision WatchSession::Raise(Revision revision) {
  floor = std::max(floor, revision);
  return COPPICE_MUTANT(kHeaderGoesBack) ? revision : floor;
}

// For a header that promises nothing: raising the floor would only hold progress back.
Revision WatchSession::AnyRevision() const {
  return floor != 0 ? floor : source_.revision();
}

void WatchSession::Send(Revision revision, const Response& response) {
  std::string body;
  PutIntField(body, kWatchIdField, static_cast<std::uint64_t>(response.watch_id));
  PutIntField(body, kCreatedField, response.created ? 1 : 0);
  PutIntField(body, kCanceledField, response.canceled ? 1 : 0);
  PutIntField(body, kCompactRevisionField, static_cast<std::uint64_t>(response.compact_revision));
  PutBytesField(body, kCancelReasonField, response.cancel_reason);
  const std::array<std::string_view, 2> pieces{header_.Encode(Raise(revision)), body};
  out_.Write(pieces);
  CheckUnsent();
  // Events wait in the store for a client that does not read; answers to its requests do not.
  if (!writable && ++answers_unread_ > options_.answers_unread_max) {
    finish_ = MakeStatus(StatusCode::kResourceExhausted, "etcdserver: too many requests");
  }
}

void WatchSession::OnEvents(mvcc::Watcher& watcher, const mvcc::EncodedEventsPtr& events) {
  watcher.flags &= static_cast<std::uint8_t>(~kQuiet);
  if ((watcher.flags & kDue) != 0) {
    watcher.flags &= static_cast<std::uint8_t>(~kDue);
    --due_;
  }
  const std::string_view header = header_.Encode(Raise(events->revision));
  char id[1 + kVarintSizeMax];
  char* end = id;
  if (watcher.id != 0) {
    *end++ = static_cast<char>(WireTag(kWatchIdField, WireType::kVarint));
    end = WriteVarint(end, static_cast<std::uint64_t>(watcher.id));
  }
  const std::array<std::string_view, 3> pieces{
      header, {id, static_cast<std::size_t>(end - id)}, events->bytes};
  const std::size_t size = header.size() + pieces[1].size() + events->bytes.size();
  if ((watcher.flags & kFragment) != 0 && size >= options_.response_bytes_max) {
    SendFragments({pieces[0], pieces[1]}, *events);
  } else {
    out_.Write(pieces);
  }
  CheckUnsent();
}

// As etcd's sendFragments: as many events as stay below the limit, one at least; every response but
// the last says `fragment`.
void WatchSession::SendFragments(const std::array<std::string_view, 2>& head,
                                 const mvcc::EncodedEvents& events) {
  constexpr std::array<char, 2> kFlag{static_cast<char>(WireTag(kFragmentField, WireType::kVarint)),
                                      1};
  const std::size_t head_size = head[0].size() + head[1].size() + kFlag.size();
  for (std::size_t first = 0; first < events.size();) {
    const std::size_t begin = events.begin(first);
    std::size_t last = first;
    while (last + 1 < events.size() &&
           head_size + events.end(last + 1) - begin < options_.response_bytes_max) {
      ++last;
    }
    const bool more = last + 1 < events.size();
    const std::array<std::string_view, 4> pieces{
        head[0],
        head[1],
        {kFlag.data(), more ? kFlag.size() : 0},
        std::string_view(events.bytes).substr(begin, events.end(last) - begin)};
    out_.Write(pieces);
    first = last + 1;
  }
}

void WatchSession::CheckUnsent() {
  if (!writable || out_.unsent_bytes() < options_.unsent_bytes_max) return;
  writable = false;
  blocked_since = now_;
}

void WatchSession::OnDrained(Time now) {
  now_ = now;
  if (writable || finish_.has_value()) return;
  writable = true;
  answers_unread_ = 0;
  source_.Drained(*this);
}

void WatchSession::Poll(Time now) {
  now_ = now;
  if (finish_.has_value()) return;
  Pump();
  if (now_ >= progress_at_) OnProgressTick();
  if (due_ != 0) TryWatcherProgress();
}

Time WatchSession::NextDeadline() const {
  return notified_ == 0 ? kNever : progress_at_;
}

// Answered once every watcher has been given everything up to one revision; until then it waits,
// and requests that come meanwhile are answered with it.
void WatchSession::TryStreamProgress() {
  if (!progress_asked_) return;
  if (pending_.empty() && watchers_.empty()) {
    progress_asked_ = false;  // etcd does not answer either
    return;
  }
  const auto complete = [this](const mvcc::Watcher& watcher) {
    const bool ahead = COPPICE_MUTANT(kProgressAhead);
    const Revision revision = ahead ? source_.revision() : source_.Complete(watcher);
    return revision != 0 && revision >= floor ? revision : 0;
  };
  out_.WantPoll();
  if (!pending_.empty() || (laggard_ != nullptr && complete(*laggard_) == 0)) return;
  Revision least = INT64_MAX;
  for (const auto& [id, watcher] : watchers_) {
    const Revision revision = complete(*watcher);
    if (revision == 0) {
      laggard_ = watcher;
      return;
    }
    least = std::min(least, revision);
  }
  progress_asked_ = false;
  Send(least, {.watch_id = kNoWatchId});
}

void WatchSession::ScheduleProgress() {
  const auto jitter = static_cast<std::uint64_t>(options_.progress_interval) / 10;
  progress_at_ =
      now_ + options_.progress_interval + static_cast<Micros>(jitter == 0 ? 0 : rng_.Below(jitter));
}

void WatchSession::OnProgressTick() {
  ScheduleProgress();
  for (const auto& [id, watcher] : watchers_) {
    if ((watcher->flags & kNotify) == 0) continue;
    if ((watcher->flags & (kQuiet | kDue)) == kQuiet) {
      watcher->flags |= kDue;
      ++due_;
    }
    watcher->flags |= kQuiet;
  }
}

void WatchSession::TryWatcherProgress() {
  for (const auto& [id, watcher] : watchers_) {
    if ((watcher->flags & kDue) == 0) continue;
    const Revision revision = source_.Complete(*watcher);
    if (revision == 0 || revision < floor) continue;
    watcher->flags &= static_cast<std::uint8_t>(~kDue);
    --due_;
    Send(revision, {.watch_id = id});
  }
  if (due_ != 0) out_.WantPoll();
}

}  // namespace coppice::api
