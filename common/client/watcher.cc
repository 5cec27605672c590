#include "common/client/watcher.h"

#include <algorithm>
#include <utility>

namespace coppice::client {
namespace {

CallOptions WithLeader(CallOptions options) {
  options.metadata.emplace_back("hasleader", "true");
  return options;
}

WatchReply Summary(const etcdserverpb::WatchResponse& response) {
  WatchReply reply;
  reply.header = {response.header().cluster_id(), response.header().revision()};
  reply.created = response.created();
  reply.canceled = response.canceled();
  reply.fragment = response.fragment();
  reply.compact_revision = response.compact_revision();
  reply.cancel_reason = response.cancel_reason();
  if (!response.events().empty())
    reply.last_event = response.events().rbegin()->kv().mod_revision();
  return reply;
}

}  // namespace

Watcher::Watcher(Driver& driver, const etcdserverpb::WatchCreateRequest& create,
                 const CallOptions& options, Micros dial_timeout)
    : driver_(driver), dial_timeout_(dial_timeout) {
  *request_.mutable_create_request() = create;
  Begin begin;
  begin.kind = Kind::kWatch;
  begin.deadline = options.timeout ? Now() + *options.timeout : kNever;
  begin.options = WithLeader(options);
  begin.watch_start = create.start_revision();
  driver_.Start(begin, mailbox_);
}

Watcher::~Watcher() {
  Cancel();
  Close();
}

void Watcher::Cancel() {
  driver_.Put(CancelRequest{mailbox_.id});
}

bool Watcher::Next(etcdserverpb::WatchResponse& out) {
  out.Clear();
  while (!ended_) {
    if (stream_ && !driver_.HasEffects(mailbox_)) {
      Read();
    } else if (Do(driver_.Take(mailbox_), out)) {
      return true;
    }
  }
  return false;
}

bool Watcher::Do(const Effect& effect, etcdserverpb::WatchResponse& out) {
  if (const auto* send = std::get_if<Send>(&effect)) {
    Open(*send);
  } else if (std::holds_alternative<Abandon>(effect)) {
    Close();
  } else if (const auto* opened = std::get_if<WatchOpened>(&effect)) {
    out = std::exchange(held_, {});
    out.mutable_header()->set_revision(opened->revision);
    return true;
  } else if (const auto* deliver = std::get_if<WatchDeliver>(&effect)) {
    return Deliver(*deliver, out);
  } else if (const auto* finish = std::get_if<Finish>(&effect)) {
    ended_ = true;
    status_ = finish->status;
    compact_revision_ = finish->compact_revision;
    if (held_.canceled()) out = std::exchange(held_, {});
    Close();
  }
  return false;
}

void Watcher::Open(const Send& send) {
  Close();
  attempt_ = send;
  held_.Clear();
  const Stubs& stubs = driver_.stubs(send.endpoint);
  if (!stubs.Connected(dial_timeout_)) return driver_.Put(NotConnected(send, stubs));
  reached_ = true;
  context_ = std::make_unique<grpc::ClientContext>();
  Prepare(send, *context_);
  driver_.SetRunning(mailbox_, context_.get());
  stream_ = stubs.watch->Watch(context_.get());
  request_.mutable_create_request()->set_start_revision(send.watch_start);
  stream_->Write(request_);  // a failure shows when it is read
}

void Watcher::Close() {
  if (!stream_) return;
  context_->TryCancel();
  driver_.SetRunning(mailbox_, nullptr);
  // gRPC wants a stream read to its end.
  etcdserverpb::WatchResponse rest;
  while (stream_->Read(&rest)) {
  }
  stream_->Finish();
  stream_.reset();
  context_.reset();
}

void Watcher::Read() {
  etcdserverpb::WatchResponse response;
  if (!stream_->Read(&response)) {
    driver_.SetRunning(mailbox_, nullptr);
    const grpc::Status status = stream_->Finish();
    stream_.reset();
    context_.reset();
    return driver_.Put(FailedBy(attempt_, status, driver_.stubs(attempt_.endpoint)));
  }
  const WatchReply reply = Summary(response);
  if (!held_.events().empty()) {
    held_.mutable_events()->MergeFrom(response.events());
    response.mutable_events()->Swap(held_.mutable_events());
  }
  held_ = std::move(response);
  driver_.Put(WatchReceived{attempt_.id, attempt_.attempt, reply});
  // Without an effect it is of no interest, unless more of it follows.
  if (!reply.fragment && !driver_.HasEffects(mailbox_)) held_.Clear();
}

bool Watcher::Deliver(const WatchDeliver& deliver, etcdserverpb::WatchResponse& out) {
  out = std::exchange(held_, {});
  auto& events = *out.mutable_events();
  const bool had_events = !events.empty();
  const auto old = std::find_if(events.begin(), events.end(), [&](const mvccpb::Event& event) {
    return event.kv().mod_revision() >= deliver.from;
  });
  events.DeleteSubrange(0, static_cast<int>(old - events.begin()));
  return !had_events || !events.empty();
}

}  // namespace coppice::client
