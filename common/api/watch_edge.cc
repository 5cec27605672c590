#include "common/api/watch_edge.h"

#include <string>
#include <utility>

#include "common/api/errors.h"
#include "common/api/metadata.h"

namespace coppice::api {
namespace {

constexpr Micros kTickInterval = 100 * kMillisecond;

}  // namespace

// One call. Kept by the edge until OnDone; admissions that come later find it gone.
class WatchEdge::Stream final : public WatchOut, public std::enable_shared_from_this<Stream> {
 public:
  Stream(WatchEdge& edge, rpc::Call& call, std::uint64_t number, Consistency consistency)
      : number(number),
        consistency_(std::move(consistency)),
        edge_(edge),
        call_(call),
        session_({.response_bytes_max = edge.options_.response_bytes_max,
                  .unsent_bytes_max = rpc::Call::kHighWater,
                  .progress_interval = edge.options_.progress_interval,
                  .min_revision = consistency_.min_revision,
                  .seed = number},
                 edge.source_, edge.header_, *this, edge.loop_.now()) {}

  void Write(std::span<const std::string_view> pieces) override {
    if (!finished_) call_.Write(pieces);
  }
  std::size_t unsent_bytes() const override { return call_.unsent_bytes(); }
  void WantPoll() override {
    if (finished_ || std::exchange(queued, true)) return;
    edge_.to_poll_.push_back(shared_from_this());
  }

  WatchSession& session() { return session_; }
  const Consistency& consistency() const { return consistency_; }
  std::string_view token() const { return call_.metadata().token; }
  bool finished() const { return finished_; }
  void Finish(const Status& status) {
    if (std::exchange(finished_, true)) return;
    call_.Finish(status);
  }
  // The call is over: nothing may touch it.
  void Abandon() { finished_ = true; }

  const std::uint64_t number;
  bool queued = false;  // in to_poll_

 private:
  const Consistency consistency_;
  WatchEdge& edge_;
  rpc::Call& call_;
  bool finished_ = false;
  WatchSession session_;
};

bool WatchEdge::ByNumber::operator()(const std::shared_ptr<Stream>& a,
                                     const std::shared_ptr<Stream>& b) const {
  return a->number < b->number;
}

WatchEdge::WatchEdge(io::Loop& loop, mvcc::WatchSource& source, WatchAdmitter& admitter,
                     WatchEdgeOptions options)
    : loop_(loop),
      source_(source),
      admitter_(admitter),
      options_(std::move(options)),
      header_(options_.cluster_id, options_.member_id) {}

WatchEdge::~WatchEdge() {
  if (armed_) loop_.Cancel(timer_);
}

Status WatchEdge::Resolve(const rpc::Call& call, Consistency& out) const {
  const auto listener = static_cast<std::size_t>(call.listener());
  const auto& defaults = options_.listener_defaults;
  const Consistency by_listener = listener < defaults.size() ? defaults[listener] : Consistency();
  COPPICE_RETURN_IF_ERROR(
      ResolveConsistency(call.metadata(), /*serializable=*/false, by_listener, out));
  if (out.require_leader && !admitter_.HasLeader()) return ToStatus(EtcdError::kNoLeader);
  return OkStatus();
}

void WatchEdge::OnStart(rpc::Call& call) {
  call.context = nullptr;
  Consistency consistency;
  const Status status = Resolve(call, consistency);
  if (!status.ok()) {
    call.Finish(status);
    return;
  }
  auto stream = std::make_shared<Stream>(*this, call, ++next_stream_, std::move(consistency));
  call.context = stream.get();
  streams_.insert(std::move(stream));
  ArmTimer();
}

void WatchEdge::OnMessage(rpc::Call& call, std::string_view message) {
  auto* const stream = static_cast<Stream*>(call.context);
  if (stream == nullptr || stream->finished()) return;
  stream->session().OnMessage(loop_.now(), message);
  Drive(*stream);
  WakeSource();
}

void WatchEdge::OnDrained(rpc::Call& call) {
  auto* const stream = static_cast<Stream*>(call.context);
  if (stream == nullptr || stream->finished()) return;
  stream->session().OnDrained(loop_.now());
  Drive(*stream);
  WakeSource();
}

void WatchEdge::OnShutdown(rpc::Call& call) {
  auto* const stream = static_cast<Stream*>(call.context);
  if (stream != nullptr) stream->Finish(ToStatus(EtcdError::kStopped));
}

void WatchEdge::OnDone(rpc::Call& call) {
  auto* const stream = static_cast<Stream*>(std::exchange(call.context, nullptr));
  if (stream == nullptr) return;
  stream->Abandon();
  std::erase_if(to_poll_, [stream](const auto& queued) { return queued.get() == stream; });
  streams_.erase(stream->shared_from_this());
  WakeSource();
}

// Takes a session's effects until there are none: an admission may be answered from within.
void WatchEdge::Drive(Stream& stream) {
  const std::shared_ptr<Stream> keep = stream.shared_from_this();
  for (WatchSession::Admission& admission : stream.session().TakeAdmissions()) {
    const std::uint64_t ticket = admission.ticket;
    admitter_.Admit(admission.range, stream.consistency(), stream.token(),
                    [this, weak = std::weak_ptr<Stream>(keep), ticket](const Status& status,
                                                                       Revision revision) {
                      const std::shared_ptr<Stream> found = weak.lock();
                      if (found == nullptr || found->finished()) return;
                      found->session().OnAdmitted(loop_.now(), ticket, status, revision);
                      Drive(*found);
                      WakeSource();
                    });
    if (stream.finished()) return;
  }
  if (stream.session().finish().has_value()) stream.Finish(*stream.session().finish());
}

void WatchEdge::WakeSource() {
  if (options_.wake_source) options_.wake_source();
}

void WatchEdge::Poll(Time now) {
  for (const std::shared_ptr<Stream>& stream : std::exchange(to_poll_, {})) {
    stream->queued = false;
    if (stream->finished()) continue;
    stream->session().Poll(now);
    Drive(*stream);
  }
}

void WatchEdge::Tick() {
  armed_ = false;
  const Time now = loop_.now();
  for (const std::shared_ptr<Stream>& stream : streams_) {
    if (stream->session().NextDeadline() <= now) stream->WantPoll();
  }
  Poll(now);
  WakeSource();
  ArmTimer();
}

void WatchEdge::ArmTimer() {
  if (armed_ || streams_.empty()) return;
  armed_ = true;
  timer_ = loop_.RunAt(loop_.now() + kTickInterval, [this] { Tick(); });
}

void WatchEdge::CutLeaderless() {
  for (const std::shared_ptr<Stream>& stream : streams_) {
    if (stream->consistency().require_leader) stream->Finish(ToStatus(EtcdError::kNoLeader));
  }
}

std::size_t WatchEdge::watchers() const {
  std::size_t count = 0;
  for (const std::shared_ptr<Stream>& stream : streams_) count += stream->session().watchers();
  return count;
}

}  // namespace coppice::api
