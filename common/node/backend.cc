#include "common/node/backend.h"

#include <utility>

#include "common/api/errors.h"
#include "common/base/coding.h"
#include "common/base/log.h"
#include "common/io/envelope.h"

namespace coppice::node {
namespace {

constexpr std::size_t kKeptBytesMax = 4096;  // of a slot's buffers between requests

api::Served ServedOf(const io::ReplyTail& tail) {
  api::Served served;
  served.by = NodeId(tail.served_by);
  served.mode = static_cast<ReadMode>(tail.mode);
  served.staleness =
      tail.staleness_ms_x8 == UINT32_MAX ? -1 : static_cast<Micros>(tail.staleness_ms_x8) * 125;
  return served;
}

}  // namespace

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
  for (Slot& slot : slots_) {
    if (slot.used) {
      slot.replier->Fail(MakeStatus(StatusCode::kUnavailable, "the connection was given up"));
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
    return;  // of a request that timed out here
  }
  Slot& slot = slots_[index];
  if ((frame.flags & io::kFlagError) != 0) return OnError(slot, index, frame.payload);
  std::string_view payload = frame.payload;
  if ((frame.flags & io::kFlagTotal) != 0) {
    if (payload.size() < 8)
      return link_.Close(MakeStatus(StatusCode::kDataLoss, "malformed reply"));
    slot.parts.reserve(GetLe<std::uint64_t>(payload.data()));
    payload.remove_prefix(8);
  }
  if ((frame.flags & io::kFlagMore) != 0) {
    slot.parts.append(payload);
    std::string grant;
    PutLe(grant, static_cast<std::uint32_t>(payload.size()));
    io::Frame credit;
    credit.type = io::FrameType::kCredit;
    credit.stream = frame.stream;
    credit.payload = grant;
    return link_.connection()->Send(credit);
  }
  if (payload.size() < io::kReplyTailSize) {
    return link_.Close(MakeStatus(StatusCode::kDataLoss, "malformed reply"));
  }
  const std::string_view body = payload.substr(0, payload.size() - io::kReplyTailSize);
  const api::Served served = ServedOf(io::ReadReplyTail(payload.substr(body.size())));
  const auto replier = std::move(slot.replier);
  const std::string parts = std::move(slot.parts);
  const Micros latency = loop_.wake_time() - slot.sent_at;
  Free(index);
  const std::string_view pieces[] = {parts, body};
  replier->Ok(pieces, served);
  observer_.OnAnswered(*this, latency);
}

void Backend::OnError(Slot& slot, std::uint32_t index, std::string_view payload) {
  if (payload.size() < 2) return link_.Close(MakeStatus(StatusCode::kDataLoss, "malformed reply"));
  const Status status = MakeStatus(static_cast<StatusCode>(payload[0]), payload.substr(2));
  const bool not_proposed = payload[1] != 0;
  observer_.OnAnswered(*this, loop_.now() - slot.sent_at);
  if (not_proposed && status.code() == StatusCode::kUnavailable) {
    Unanswered refused = Take(index);
    refused.certainly_not_done = true;
    refused.reason = status;
    return observer_.OnNotProposed(*this, std::move(refused));
  }
  const auto replier = std::move(slot.replier);
  Free(index);
  not_proposed ? replier->FailNotProposed(status) : replier->Fail(status);
}

void Backend::Down(const Status& reason) {
  std::vector<Unanswered> left;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (!slots_[index].used) continue;
    left.push_back(Take(index));
    left.back().reason = reason;
  }
  observer_.OnDown(*this, reason, std::move(left));
}

void Backend::Expire(Time now) {
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (!slot.used || slot.request.deadline > now) continue;
    const auto replier = std::move(slot.replier);
    SendCancel(index);
    Free(index);
    replier->Fail(api::ToStatus(api::EtcdError::kTimeout));
  }
}

std::vector<Unanswered> Backend::Withdraw(const std::function<bool(const api::Replier&)>& which) {
  std::vector<Unanswered> taken;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (!slots_[index].used || !which(*slots_[index].replier)) continue;
    SendCancel(index);
    taken.push_back(Take(index));
    taken.back().reason = MakeStatus(StatusCode::kUnavailable, "withdrawn");
  }
  return taken;
}

void Backend::SendCancel(std::uint32_t index) {
  if (link_.connection() == nullptr) return;
  io::Frame cancel;
  cancel.type = io::FrameType::kCancel;
  cancel.stream = {index, slots_[index].generation};
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
  slot.parts.clear();
  slot.request = {};
  if (slot.bytes.capacity() > kKeptBytesMax) slot.bytes = {};
  if (slot.parts.capacity() > kKeptBytesMax) slot.parts = {};
  free_.push_back(index);
}

}  // namespace coppice::node
