#include "fuzz/frame_checks.h"

#include <string>

#include "common/base/check.h"
#include "common/io/envelope.h"
#include "common/raft/messages.h"
#include "common/replica/replica_wire.h"
#include "common/replica/watch_wire.h"
#include "fuzz/stable.h"

namespace coppice::fuzz {
namespace {

using io::Frame;
using io::FrameType;

void CheckTailFrame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kTailSubscribe:
      return CheckStable(frame.payload, replica::DecodeTailSubscribe, replica::EncodeTailSubscribe);
    case FrameType::kTailEntries:
      return CheckStable(frame.payload, replica::DecodeTailEntries, replica::EncodeTailEntries);
    case FrameType::kTailBehind:
      return CheckStable(frame.payload, replica::DecodeTailBehind, replica::EncodeTailBehind);
    case FrameType::kTailRefused:
      return CheckStable(frame.payload, replica::DecodeTailRefused, replica::EncodeTailRefused);
    case FrameType::kTailState:
      return CheckStable(frame.payload, replica::DecodeTailState, replica::EncodeTailState);
    case FrameType::kReadIndex:
      return CheckStable(frame.payload, replica::DecodeReadIndex, replica::EncodeReadIndex);
    case FrameType::kReadIndexReply:
      return CheckStable(frame.payload, replica::DecodeReadIndexReply,
                         replica::EncodeReadIndexReply);
    case FrameType::kNodeState:
      return CheckStable(frame.payload, replica::DecodeNodeState, replica::EncodeNodeState);
    default:
      return CheckStable(frame.payload, raft::DecodeMessage, raft::EncodeMessage);
  }
}

void CheckWatchFrame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kWatchCreate:
      return CheckStable(frame.payload, replica::DecodeWatchCreate, replica::EncodeWatchCreate);
    case FrameType::kWatchCreated:
      return CheckStable(frame.payload, replica::DecodeWatchCreated, replica::EncodeWatchCreated);
    case FrameType::kWatchCanceled:
      return CheckStable(frame.payload, replica::DecodeWatchCanceled, replica::EncodeWatchCanceled);
    case FrameType::kWatermark:
      return CheckStable(frame.payload, replica::DecodeWatermark, replica::EncodeWatermark);
    default:
      break;
  }
  mvcc::EncodedEvents events;
  if (!replica::DecodeWatchEvents(frame.payload, events)) return;
  COPPICE_CHECK(events.size() > 0 && events.end(events.size() - 1) == events.bytes.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    COPPICE_CHECK(events.begin(i) < events.end(i) && events.end(i) <= events.bytes.size());
  }
  const replica::WatchEventsHead sent = replica::EncodeWatchEvents(events, 0, events.size());
  COPPICE_CHECK(sent.head + std::string(sent.bytes) == frame.payload);
}

void CheckEnvelope(std::string_view payload) {
  io::Envelope envelope;
  std::string_view bytes = payload;
  if (!io::ReadEnvelope(bytes, envelope)) return;
  COPPICE_CHECK(envelope.deadline_left >= 0 && envelope.consistency.min_revision >= 0);
  COPPICE_CHECK(!envelope.consistency.max_staleness || *envelope.consistency.max_staleness >= 0);
  std::string once;
  io::PutEnvelope(once, envelope);
  io::Envelope again;
  std::string_view rest = once;
  COPPICE_CHECK(io::ReadEnvelope(rest, again) && rest.empty());
  COPPICE_CHECK(again.consistency == envelope.consistency && again.hops == envelope.hops);
  COPPICE_CHECK(again.deadline_left == envelope.deadline_left && again.token == envelope.token);
}

}  // namespace

void CheckFrame(const Frame& frame) {
  const auto type = static_cast<std::uint8_t>(frame.type);
  if (frame.type == FrameType::kRequest) return CheckEnvelope(frame.payload);
  if (type < 64 || frame.type == FrameType::kNodeState) return CheckTailFrame(frame);
  if (type >= 80 && type < 96) CheckWatchFrame(frame);
}

}  // namespace coppice::fuzz
