#include "proxy/watches.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/api/errors.h"
#include "common/base/coding.h"
#include "common/base/log.h"
#include "common/base/mutant.h"

namespace coppice::proxy {
namespace {

constexpr Micros kAdmitTimeout = 7 * kSecond;

// RangeRequest: the watch's range, only counted.
std::string RangeBytes(const mvcc::KeyRange& range) {
  std::string bytes;
  // etcd wants a key; all keys begin at "\0".
  PutBytesField(bytes, 1, range.begin.empty() ? std::string_view("\0", 1) : range.begin);
  if (range.unbounded) {
    PutBytesField(bytes, 2, std::string_view("\0", 1));
  } else if (!range.SingleKey()) {
    PutBytesField(bytes, 2, range.end);
  }
  PutIntField(bytes, 9, 1);  // count_only
  return bytes;
}

// header.revision of any response: field 3 of the message in field 1.
Revision HeaderRevision(std::string_view response) {
  WireReader message(response);
  std::uint32_t field = 0;
  WireType type{};
  std::string_view header;
  if (!message.Tag(field, type) || field != 1 || !message.Bytes(header)) return 0;
  WireReader fields(header);
  std::uint64_t value = 0;
  while (!fields.done() && fields.Tag(field, type)) {
    if (type == WireType::kVarint ? !fields.Varint(value) : !fields.Skip(type)) return 0;
    if (field == 3) return static_cast<Revision>(value);
  }
  return 0;
}

// Answers an admission; owns the bytes of its request.
class AdmitReplier final : public api::Replier {
 public:
  // `compact_revision`: of the view that admits it.
  using Done =
      std::function<void(const Status& status, Revision revision, Revision compact_revision)>;
  AdmitReplier(std::string bytes, std::string_view token, Done done)
      : bytes_(std::move(bytes)), token_(token), done_(std::move(done)) {}
  ~AdmitReplier() override {
    if (done_) Fail(api::ToStatus(api::EtcdError::kStopped));
  }
  void Ok(std::span<const std::string_view> pieces, const api::Served& served) override {
    std::string all;
    for (const std::string_view piece : pieces) all += piece;
    std::exchange(done_, nullptr)(OkStatus(), HeaderRevision(all), served.compact_revision);
  }
  void Fail(const Status& status) override { std::exchange(done_, nullptr)(status, 0, 0); }
  void FailNotProposed(const Status& status) override { Fail(status); }
  void Parts(std::uint64_t /*total*/, std::unique_ptr<api::PartSource> /*source*/) override {
    Fail(MakeStatus(StatusCode::kInternal, "a count was answered in parts"));
  }
  std::string_view bytes() const { return bytes_; }
  std::string_view token() const { return token_; }

 private:
  const std::string bytes_;
  const std::string token_;
  Done done_;
};

}  // namespace

Watches::Watches(io::Loop& loop, ProxyNode& node, Options options)
    : loop_(loop),
      node_(node),
      options_(std::move(options)),
      mux_({.rings_bytes = options_.buffer_bytes}, *this) {
  node_.SetWatches(this);
}

Watches::~Watches() {
  node_.SetWatches(nullptr);
  if (timer_ != 0) loop_.Cancel(timer_);
  loop_.Forget(*this);
}

void Watches::OnChange() {
  if (edge_ == nullptr && node_.pool().cluster_id() != 0) {
    cluster_id_ = node_.pool().cluster_id();
    api::WatchEdgeOptions options;
    options.cluster_id = cluster_id_;
    options.member_id = options_.member_id;
    options.listener_defaults = options_.listener_defaults;
    options.wake_source = [this] { Step(); };
    edge_ = std::make_unique<api::WatchEdge>(loop_, mux_, *this, std::move(options));
  }
  if (edge_ == nullptr) return;
  edge_->SetTerm(node_.pool().term().value());
  const bool has_leader = HasLeader();
  if (std::exchange(had_leader_, has_leader) && !has_leader) edge_->CutLeaderless();
}

void Watches::OnStart(rpc::Call& call) {
  if (edge_ != nullptr) return edge_->OnStart(call);
  call.Finish(api::ToStatus(api::EtcdError::kNoLeader));
}

// A call that began before the edge was there has no context, and is finished already.
void Watches::OnMessage(rpc::Call& call, std::string_view message) {
  if (call.context != nullptr) edge_->OnMessage(call, message);
}
void Watches::OnHalfClose(rpc::Call& call) {
  if (call.context != nullptr) edge_->OnHalfClose(call);
}
void Watches::OnDrained(rpc::Call& call) {
  if (call.context != nullptr) edge_->OnDrained(call);
}
void Watches::OnShutdown(rpc::Call& call) {
  if (call.context != nullptr) edge_->OnShutdown(call);
}
void Watches::OnDone(rpc::Call& call) {
  if (call.context != nullptr) edge_->OnDone(call);
}

void Watches::OnWatchFrame(std::uint64_t connection, const io::Frame& frame) {
  Step();
  if (mux_.OnFrame(loop_.now(), connection, frame)) return;
  COPPICE_LOG(kError, "a malformed watch frame: closing the connection");
  if (io::Connection* link = node_.pool().FindConnection(connection)) {
    link->Close(MakeStatus(StatusCode::kDataLoss, "malformed watch frame"));
  }
}

void Watches::OnConnectionLost(std::uint64_t connection) {
  mux_.OnLost(loop_.now(), connection);
  Step();
}
void Watches::OnConnectionStale(std::uint64_t connection) {
  mux_.OnStale(loop_.now(), connection);
  Step();
}
void Watches::OnConnectionFresh(std::uint64_t /*connection*/) {
  mux_.OnBackendUp(loop_.now());
  Step();
}

ConnectionId Watches::Choose(ConnectionId except) {
  Pool& pool = node_.pool();
  return ConnectionOf(pool.router().Choose({.spread = true}, pool.FindBackend(except)));
}

ConnectionId Watches::ChooseFresher(ConnectionId than) {
  Pool& pool = node_.pool();
  const std::optional<BackendId> stale = pool.FindBackend(than);
  if (!stale) return kNoConnection;
  return ConnectionOf(pool.router().Choose({.spread = true, .fresher_than = stale}));
}

ConnectionId Watches::ConnectionOf(std::optional<BackendId> backend) const {
  const io::Connection* link = backend ? node_.pool().ConnectionOf(*backend) : nullptr;
  return link == nullptr ? kNoConnection : link->id();
}

void Watches::Send(ConnectionId connection, const io::Frame& frame) {
  if (io::Connection* link = node_.pool().FindConnection(connection)) link->Send(frame);
}

void Watches::Admit(const mvcc::KeyRange& range, const Consistency& consistency,
                    std::string_view token, Done done) {
  // A compaction that was done before the watch was asked for is known to who admits it, 100 ms
  // before the next watermark may tell.
  auto answer = [this, done = std::move(done)](const Status& status, Revision revision,
                                               Revision compact_revision) {
    if (status.ok() && !COPPICE_MUTANT(kForgetCompaction)) mux_.LearnCompaction(compact_revision);
    done(status, revision);
  };
  auto replier = std::make_unique<AdmitReplier>(RangeBytes(range), token, std::move(answer));
  api::Request request;
  request.method = api::Method::kRange;
  request.bytes = replier->bytes();
  request.token = replier->token();
  request.consistency = consistency;
  request.deadline = loop_.now() + kAdmitTimeout;
  node_.Serve(request, std::move(replier));
}

bool Watches::HasLeader() const {
  return node_.pool().HasLeader();
}

void Watches::Step() {
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void Watches::OnTurn(Time now) {
  mux_.Poll(now);
  if (edge_ != nullptr) edge_->Poll(now);
  mux_.Poll(now);
  node_.SetAuthRevision(mux_.auth_revision());
  ArmTimer();
}

void Watches::ArmTimer() {
  const Time next = mux_.NextDeadline();
  if (next == kNever || (timer_ != 0 && timer_at_ <= next)) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    Step();
  });
}

}  // namespace coppice::proxy
