#include "common/node/backend.h"

#include <utility>

#include "common/api/errors.h"
#include "common/base/coding.h"
#include "common/base/log.h"
#include "common/io/envelope.h"

namespace coppice::node {
namespace {

constexpr std::size_t kKeptBytesMax = 4096;  // of a slot's buffers between requests
// An answer that has begun and whose bytes are waited for this long comes no more.
constexpr Micros kPartTimeout = 7 * kSecond;

// False if malformed: what reads the consistency relies on its being one.
bool ReadServed(std::string_view last24, api::Served& served) {
  const io::ReplyTail tail = io::ReadReplyTail(last24);
  if (tail.mode > static_cast<std::uint8_t>(ReadMode::kSerializable)) return false;
  if (tail.compact_revision < 0) return false;
  served.compact_revision = tail.compact_revision;
  served.by = NodeId(tail.served_by);
  served.mode = static_cast<ReadMode>(tail.mode);
  served.staleness =
      tail.staleness_ms_x8 == UINT32_MAX ? -1 : static_cast<Micros>(tail.staleness_ms_x8) * 125;
  return true;
}

}  // namespace

// An answer between its frames and whoever takes it: both hold it.
struct Backend::Incoming {
  Backend* backend = nullptr;  // null once nothing more comes
  std::uint32_t index = 0;     // of the slot
  std::string arrived;         // and not taken
  std::uint64_t left = 0;      // announced, not arrived
  Time waiting_since = 0;      // for more
  bool ended = false;
  Status lost;
  api::Served served;
  std::function<void()> ready;

  // Calls what may destroy the taking end.
  static void Tell(const std::shared_ptr<Incoming>& incoming) {
    const auto ready = incoming->ready;
    if (ready) ready();
  }
};

class Backend::IncomingParts final : public api::PartSource {
 public:
  explicit IncomingParts(std::shared_ptr<Incoming> incoming) : incoming_(std::move(incoming)) {}
  ~IncomingParts() override {
    incoming_->ready = nullptr;
    if (incoming_->backend == nullptr) return;
    incoming_->backend->SendCancel(incoming_->index);
    incoming_->backend->Free(incoming_->index);
  }

  Next Take(std::string& out) override {
    if (!incoming_->lost.ok()) return Next::kLost;
    const std::size_t size = incoming_->arrived.size();
    if (size == 0) return incoming_->ended ? Next::kEnd : Next::kWait;
    out.append(incoming_->arrived);
    incoming_->arrived.clear();
    if (incoming_->ended) return Next::kEnd;
    incoming_->backend->Grant(*incoming_, size);
    return Next::kWait;
  }
  void SetReady(std::function<void()> ready) override { incoming_->ready = std::move(ready); }
  api::Served served() const override { return incoming_->served; }
  Status status() const override { return incoming_->lost; }

 private:
  const std::shared_ptr<Incoming> incoming_;
};

Backend::Backend(io::Loop& loop, io::Transport& transport, Link::Options address,
                 Observer& observer, Rng rng)
    : loop_(loop),
      observer_(observer),
      link_(loop, transport, std::move(address),
            Link::Hooks{[this](io::Connection&) { observer_.OnUp(*this); },
                        [this](const io::Frame& frame) { OnFrame(frame); },
                        [this](const Status& reason) { Down(reason); },
                        [this](const Status& reason) { Down(reason); },
                        [this] { observer_.OnWritable(*this); }},
            rng) {}

Backend::~Backend() {
  const Status gone = MakeStatus(StatusCode::kUnavailable, "the connection was given up");
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (!slots_[index].used) continue;
    if (slots_[index].incoming != nullptr) {
      Lose(index, gone);
    } else {
      slots_[index].replier->Fail(gone);
    }
  }
}

void Backend::Send(const api::Request& request, std::unique_ptr<api::Replier> replier, Keep keep) {
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.used = true;
  slot.request = request;
  if (keep == Keep::kYes) {
    slot.bytes.assign(request.bytes);
    slot.token.assign(request.token);
  }
  slot.request.bytes = {};
  slot.request.token = {};
  slot.replier = std::move(replier);
  slot.sent_at = loop_.now();
  io::Envelope envelope;
  envelope.token = request.token;
  envelope.consistency = request.consistency;
  envelope.attempt = request.attempt;
  envelope.hops = request.hops;
  if (request.deadline != kNever) {
    envelope.deadline_left = std::max<Micros>(request.deadline - loop_.now(), 1);
  }
  head_.clear();
  io::PutEnvelope(head_, envelope);
  io::Frame frame;
  frame.type = io::FrameType::kRequest;
  frame.method = static_cast<std::uint16_t>(request.method);
  frame.stream = {index, slot.generation};
  link_.connection()
      ->BeginFrame(frame, head_.size() + request.bytes.size())
      .append(head_)
      .append(request.bytes);
}

void Backend::OnFrame(const io::Frame& frame) {
  if (frame.type == io::FrameType::kReply) return OnReply(frame);
  observer_.OnFrame(*this, frame);
}

void Backend::OnReply(const io::Frame& frame) {
  const std::uint32_t index = frame.stream.slot;
  if (index >= slots_.size() || !slots_[index].used ||
      slots_[index].generation != frame.stream.generation) {
    // Of a request that was given up here: what it still has to send waits for credit there.
    if ((frame.flags & io::kFlagMore) != 0) SendCancel(frame.stream);
    return;
  }
  const bool more = (frame.flags & io::kFlagMore) != 0;
  std::string_view payload = frame.payload;
  if ((frame.flags & io::kFlagError) != 0) return OnError(index, payload);
  if (slots_[index].incoming != nullptr) return OnPart(index, payload, !more);
  const bool total = (frame.flags & io::kFlagTotal) != 0;
  if (more) return total ? OnFirstPart(index, payload) : Malformed();
  if (total && payload.size() < 8) return Malformed();
  OnWhole(index, total ? payload.substr(8) : payload);
}

void Backend::Malformed() {
  link_.Close(MakeStatus(StatusCode::kDataLoss, "malformed reply"));
}

void Backend::OnWhole(std::uint32_t index, std::string_view payload) {
  if (payload.size() < io::kReplyTailSize) return Malformed();
  const std::string_view body = payload.substr(0, payload.size() - io::kReplyTailSize);
  api::Served served;
  if (!ReadServed(payload.substr(body.size()), served)) return Malformed();
  const auto replier = std::move(slots_[index].replier);
  const Micros latency = loop_.wake_time() - slots_[index].sent_at;
  Free(index);
  replier->Ok({&body, 1}, served);
  observer_.OnAnswered(*this, latency);
}

void Backend::OnFirstPart(std::uint32_t index, std::string_view payload) {
  if (payload.size() < 8) return Malformed();
  Slot& slot = slots_[index];
  const auto total = GetLe<std::uint64_t>(payload.data());
  const auto replier = std::move(slot.replier);
  const Micros latency = loop_.wake_time() - slot.sent_at;
  const auto incoming = std::make_shared<Incoming>();
  incoming->backend = this;
  incoming->index = index;
  incoming->left = total;
  slot.incoming = incoming;
  slot.bytes = {};
  OnPart(index, payload.substr(8), false);
  replier->Parts(total, std::make_unique<IncomingParts>(incoming));
  observer_.OnAnswered(*this, latency);
}

void Backend::OnPart(std::uint32_t index, std::string_view payload, bool last) {
  const std::shared_ptr<Incoming> incoming = slots_[index].incoming;
  if (last && payload.size() < io::kReplyTailSize) return Malformed();
  const std::string_view body = payload.substr(0, payload.size() - (last ? io::kReplyTailSize : 0));
  if (body.size() > incoming->left || (last && body.size() < incoming->left)) return Malformed();
  if (last && !ReadServed(payload.substr(body.size()), incoming->served)) return Malformed();
  incoming->arrived.append(body);
  incoming->left -= body.size();
  incoming->waiting_since = loop_.wake_time();
  if (incoming->arrived.size() > io::kStreamCreditBytes) return Malformed();
  if (last) {
    incoming->ended = true;
    incoming->backend = nullptr;
    Free(index);
  }
  Incoming::Tell(incoming);
}

void Backend::OnError(std::uint32_t index, std::string_view payload) {
  if (payload.size() < 2) return Malformed();
  const auto code = static_cast<StatusCode>(payload[0]);
  if (code <= StatusCode::kOk || code > StatusCode::kUnauthenticated) return Malformed();
  const Status status = MakeStatus(code, payload.substr(2));
  const bool not_proposed = payload[1] != 0;
  if (slots_[index].incoming != nullptr) return Lose(index, status);
  // Whoever hears of it may send, which moves the slots: all is taken out before.
  const Micros latency = loop_.now() - slots_[index].sent_at;
  Unanswered refused = Take(index);
  if (not_proposed && status.code() == StatusCode::kUnavailable) {
    refused.certainly_not_done = true;
    refused.reason = status;
    observer_.OnNotProposed(*this, std::move(refused));
  } else {
    not_proposed ? refused.replier->FailNotProposed(status) : refused.replier->Fail(status);
  }
  observer_.OnAnswered(*this, latency);
}

// Ends an answer that has begun and will not be completed.
void Backend::Lose(std::uint32_t index, const Status& why) {
  const std::shared_ptr<Incoming> incoming = slots_[index].incoming;
  incoming->lost = why;
  incoming->backend = nullptr;
  Free(index);
  Incoming::Tell(incoming);
}

void Backend::Grant(Incoming& incoming, std::size_t bytes) {
  incoming.waiting_since = loop_.now();
  if (link_.connection() == nullptr) return;
  std::string grant;
  PutLe(grant, static_cast<std::uint32_t>(bytes));
  io::Frame credit;
  credit.type = io::FrameType::kCredit;
  credit.stream = {incoming.index, slots_[incoming.index].generation};
  credit.payload = grant;
  link_.connection()->Send(credit);
}

void Backend::Down(const Status& reason) {
  std::vector<Unanswered> left;
  std::vector<std::uint32_t> begun;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (!slots_[index].used) continue;
    if (slots_[index].incoming != nullptr) {
      begun.push_back(index);
      continue;
    }
    left.push_back(Take(index));
    left.back().reason = reason;
  }
  for (const std::uint32_t index : begun) {
    Lose(index, MakeStatus(StatusCode::kUnavailable,
                           "etcdserver: the connection was lost in the middle of the answer: " +
                               std::string(MessageOf(reason))));
  }
  observer_.OnDown(*this, reason, std::move(left));
}

void Backend::Expire(Time now) {
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (!slot.used) continue;
    if (slot.incoming != nullptr) {
      // One that nobody takes may wait for ever: its client's deadline ends it.
      const Incoming& incoming = *slot.incoming;
      if (!incoming.arrived.empty() || now - incoming.waiting_since < kPartTimeout) continue;
      SendCancel(index);
      Lose(index, api::ToStatus(api::EtcdError::kTimeout));
      continue;
    }
    if (slot.request.deadline > now) continue;
    const auto replier = std::move(slot.replier);
    SendCancel(index);
    Free(index);
    replier->Fail(api::ToStatus(api::EtcdError::kTimeout));
  }
}

std::vector<Unanswered> Backend::Withdraw(const std::function<bool(const api::Replier&)>& which) {
  std::vector<Unanswered> taken;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    const Slot& slot = slots_[index];
    if (!slot.used || slot.incoming != nullptr || !which(*slot.replier)) continue;
    SendCancel(index);
    taken.push_back(Take(index));
    taken.back().reason = MakeStatus(StatusCode::kUnavailable, "withdrawn");
  }
  return taken;
}

void Backend::SendCancel(std::uint32_t index) {
  SendCancel(io::StreamId{index, slots_[index].generation});
}

void Backend::SendCancel(io::StreamId stream) {
  if (link_.connection() == nullptr) return;
  io::Frame cancel;
  cancel.type = io::FrameType::kCancel;
  cancel.stream = stream;
  link_.connection()->Send(cancel);
}

Unanswered Backend::Take(std::uint32_t index) {
  Slot& slot = slots_[index];
  Unanswered out;
  out.request = slot.request;
  out.bytes = std::move(slot.bytes);
  out.token = std::move(slot.token);
  out.replier = std::move(slot.replier);
  Free(index);
  return out;
}

void Backend::Free(std::uint32_t index) {
  Slot& slot = slots_[index];
  slot.used = false;
  ++slot.generation;
  slot.replier.reset();
  slot.incoming.reset();
  slot.request = {};
  if (slot.bytes.capacity() > kKeptBytesMax) slot.bytes = {};
  free_.push_back(index);
}

}  // namespace coppice::node
