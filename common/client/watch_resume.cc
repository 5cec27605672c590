#include "common/client/watch_resume.h"

#include <algorithm>

#include "common/client/retry.h"

namespace coppice::client {
namespace {

constexpr std::string_view kCompacted = "etcdserver: mvcc: required revision has been compacted";

}  // namespace

WatchResume::Step WatchResume::OnReply(const WatchReply& reply) {
  if (reply.canceled) return OnCanceled(reply);
  if (reply.created) return OnCreated(reply);
  const Revision last = std::max(reply.last_event, held_last_);
  if (reply.fragment) {
    held_last_ = last;
    return Hold{};
  }
  held_last_ = 0;
  // A header promises what comes before it only when there are no events: those of a watcher that
  // catches up carry the store's revision, which is ahead of them.
  const Revision complete = last != 0 ? last : reply.header.revision;
  const Revision from = next_;
  next_ = std::max(next_, complete + 1);
  if (last != 0 && last < from) return Nothing{};  // all of it was delivered before
  return Deliver{from, next_ - 1};
}

WatchResume::Step WatchResume::OnCreated(const WatchReply& reply) {
  if (next_ == 0) next_ = std::max(reply.header.revision, session_) + 1;
  if (std::exchange(opened_, true)) return Nothing{};
  return Opened{next_ - 1};
}

WatchResume::Step WatchResume::OnCanceled(const WatchReply& reply) const {
  if (reply.compact_revision != 0) {
    return End{MakeStatus(StatusCode::kOutOfRange, kCompacted), reply.compact_revision};
  }
  if (MayReopen(reply.cancel_reason)) return Reopen{};
  // etcd says nothing where a start is too far ahead.
  return End{MakeStatus(StatusCode::kCancelled,
                        reply.cancel_reason.empty()
                            ? "etcdserver: mvcc: required revision is a future revision"
                            : reply.cancel_reason),
             0};
}

}  // namespace coppice::client
