#include "common/api/edge_call.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <utility>

#include "common/api/duration.h"
#include "common/api/errors.h"
#include "common/api/metadata.h"
#include "common/base/check.h"

namespace coppice::api {
namespace {

constexpr std::uint64_t kMessageBytesMax = UINT32_MAX;  // gRPC's length prefix has 32 bits
constexpr Micros kUnreadMax = 60 * kSecond;             // as a watcher's that does not read

// An answer that leaves as the client takes it. Lives until its call is over.
class PartsSender final : public CallState {
 public:
  struct Counting {
    EdgeObserver* observer;  // or null
    io::Loop& loop;
    Time arrived;
    Method method;
  };
  PartsSender(std::unique_ptr<PartSource> source, rpc::Call& call, bool trailers,
              const Counting& counting)
      : source_(std::move(source)), trailers_(trailers), counting_(counting) {
    source_->SetReady([this, &call] { Send(call); });
  }

  ~PartsSender() {
    if (timer_ != 0) counting_.loop.Cancel(timer_);
  }

  void OnDrained(rpc::Call& call) override {
    ++drained_;
    Send(call);
  }
  void OnDone() override { delete this; }

  void Send(rpc::Call& call) {
    auto next = PartSource::Next::kMore;
    while (source_ != nullptr && next == PartSource::Next::kMore) {
      if (call.unsent_bytes() >= rpc::Call::kHighWater) return WatchClient(call);
      buffer_.clear();
      next = source_->Take(buffer_);
      if (!buffer_.empty()) call.AppendPart(buffer_);
    }
    if (source_ == nullptr || next == PartSource::Next::kWait) return;
    const std::unique_ptr<PartSource> source = std::move(source_);
    if (next == PartSource::Next::kLost) {
      Count(source->status().code(), nullptr);
      return call.Finish(source->status());
    }
    const Served served = source->served();
    Count(StatusCode::kOk, &served);
    FinishServed(call, served, trailers_);
  }

 private:
  // A source pins what it reads from: a client that takes nothing may not hold on to it for ever.
  void WatchClient(rpc::Call& call) {
    if (timer_ != 0) return;
    const auto look = [this, &call, unsent = call.unsent_bytes(), drained = drained_] {
      timer_ = 0;
      if (source_ == nullptr || call.unsent_bytes() == 0) return;
      if (call.unsent_bytes() != unsent || drained_ != drained) return WatchClient(call);
      source_.reset();
      Count(StatusCode::kUnavailable, nullptr);
      call.Finish(MakeStatus(StatusCode::kUnavailable,
                             "the client has read nothing of the answer for a minute"));
    };
    timer_ = counting_.loop.RunAt(counting_.loop.now() + kUnreadMax, look);
  }
  void Count(StatusCode code, const Served* served) const {
    if (counting_.observer == nullptr) return;
    counting_.observer->OnAnswered(counting_.method, code, counting_.loop.now() - counting_.arrived,
                                   served);
  }

  std::unique_ptr<PartSource> source_;  // null once its last part is taken
  const bool trailers_;
  const Counting counting_;
  std::string buffer_;
  io::Loop::TimerId timer_ = 0;
  std::uint64_t drained_ = 0;  // how often the client has taken all but a little
};

}  // namespace

PendingCalls::~PendingCalls() {
  // Those that a node still holds outlive the edge: they hang in no list from here on.
  while (!empty()) Remove(front());
}

void PendingCalls::Push(Link& link) {
  link.prev = head_.prev;
  link.next = &head_;
  head_.prev->next = &link;
  head_.prev = &link;
}

void PendingCalls::Remove(Link& link) {
  link.prev->next = link.next;
  link.next->prev = link.prev;
  link.prev = link.next = &link;
}

PendingCall::PendingCall(const Context& context, Request& request)
    : call_(&context.call),
      observer_(context.observer),
      loop_(context.loop),
      arrived_(context.loop.wake_time()),
      method_(request.method),
      trailers_(request.consistency.trailers) {
  const std::size_t size = request.bytes.size() + request.token.size();
  char* copy = inline_;
  if (size > kInlineBytes) {
    large_.resize(size);
    copy = large_.data();
  }
  std::memcpy(copy, request.bytes.data(), request.bytes.size());
  request.bytes = {copy, request.bytes.size()};
  if (!request.token.empty()) {
    copy += request.bytes.size();
    std::memcpy(copy, request.token.data(), request.token.size());
    request.token = {copy, request.token.size()};
  }
  if (context.call.deadline() == kNever) due_ = arrived_ + context.timeout;
  request.deadline = std::min(due_, context.call.deadline());
  context.call.context = static_cast<CallState*>(this);
  if (due_ != kNever) context.pending.Push(*this);
}

PendingCall::~PendingCall() {
  if (call_ != nullptr) Fail(ToStatus(EtcdError::kStopped));
}

// The call, for its one answer; null if it is over.
rpc::Call* PendingCall::Take() {
  PendingCalls::Remove(*this);
  if (call_ != nullptr) call_->context = nullptr;
  return std::exchange(call_, nullptr);
}

void PendingCall::Count(StatusCode code, const Served* served) {
  if (observer_ != nullptr) observer_->OnAnswered(method_, code, loop_.now() - arrived_, served);
}

void PendingCall::Ok(std::span<const std::string_view> pieces, const Served& served) {
  rpc::Call* const call = Take();
  if (call == nullptr) return;
  Count(StatusCode::kOk, &served);
  call->Write(pieces);
  FinishServed(*call, served, trailers_);
}

void PendingCall::Fail(const Status& status) {
  COPPICE_CHECK(!status.ok(), "an answer without bytes is an error");
  rpc::Call* const call = Take();
  if (call == nullptr) return;
  Count(status.code(), nullptr);
  call->Finish(status);
}

void PendingCall::FailNotProposed(const Status& status) {
  Fail(status);
}

void PendingCall::Parts(std::uint64_t total, std::unique_ptr<PartSource> source) {
  if (total > kMessageBytesMax) {
    return Fail(MakeStatus(StatusCode::kResourceExhausted,
                           fmt::format("the answer has {} bytes, and a message at most {}: ask for "
                                       "less at once, with a limit",
                                       total, kMessageBytesMax)));
  }
  rpc::Call* const call = Take();
  if (call == nullptr) return;
  auto* const sender =
      new PartsSender(std::move(source), *call, trailers_, {observer_, loop_, arrived_, method_});
  call->context = static_cast<CallState*>(sender);
  call->BeginParts(total);
  sender->Send(*call);
}

void PendingCall::OnDone() {
  PendingCalls::Remove(*this);
  call_ = nullptr;
}

void FinishServed(rpc::Call& call, const Served& served, bool trailers) {
  if (!trailers) return call.Finish(OkStatus());
  char id[16];
  const auto id_end = fmt::format_to_n(id, sizeof(id), "{:x}", served.by.value());
  const std::string_view by(id, id_end.size);
  if (served.staleness < 0) {
    const std::pair<std::string_view, std::string_view> pairs[] = {{"coppice-served-by", by}};
    return call.Finish(OkStatus(), pairs);
  }
  const std::string staleness = FormatDuration(served.staleness);
  const std::pair<std::string_view, std::string_view> pairs[] = {
      {"coppice-served-by", by},
      {"coppice-served-consistency", NameOf(served.mode)},
      {"coppice-staleness", staleness}};
  call.Finish(OkStatus(), pairs);
}

}  // namespace coppice::api
