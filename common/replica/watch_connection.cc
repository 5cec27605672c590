#include "common/replica/watch_connection.h"

#include <algorithm>
#include <array>
#include <utility>

namespace coppice::replica {

// One subscription: a sink of its own, because each has its own credit.
struct WatchConnection::Stream final : mvcc::WatchSink {
  Stream(WatchConnection& the_connection, io::StreamId the_id, std::uint32_t the_credit)
      : connection(the_connection), id(the_id), credit(the_credit) {}

  void OnReady(mvcc::Watcher&) override { connection.ready_ = true; }
  void OnBehind(mvcc::Watcher&) override {
    if (std::exchange(listed, true)) return;
    connection.lagging_.push_back(Key(id));
  }
  void OnOpened(mvcc::Watcher&, Revision at) override {
    open = true;
    connection.Send(io::FrameType::kWatchCreated, id,
                    EncodeWatchCreated({at, connection.hub_.compact_revision()}));
  }
  void OnEvents(mvcc::Watcher&, const mvcc::EncodedEventsPtr& events) override {
    connection.SendEvents(*this, *events);
  }
  void OnCanceled(mvcc::Watcher&, Revision compact_revision, std::string_view reason) override {
    connection.Send(io::FrameType::kWatchCanceled, id,
                    EncodeWatchCanceled({compact_revision, reason}));
    watcher = nullptr;
    connection.ended_.push_back(Key(id));
  }

  WatchConnection& connection;
  const io::StreamId id;
  std::int64_t credit;  // one revision may overdraw it
  mvcc::Watcher* watcher = nullptr;
  bool open = false;
  bool listed = false;  // in lagging_
};

WatchConnection::WatchConnection(const WatchConnectionOptions& options, WatchHub& hub,
                                 FrameOut& out, Time now)
    : options_(options), hub_(hub), out_(out), now_(now) {}

WatchConnection::~WatchConnection() {
  for (const auto& [key, stream] : streams_) {
    if (stream->watcher != nullptr) hub_.Close(*stream->watcher);
  }
}

bool WatchConnection::OnFrame(Time now, const io::Frame& frame) {
  now_ = now;
  if (frame.type == io::FrameType::kWatchCreate) return Create(frame);
  std::uint32_t bytes = 0;
  if (frame.type == io::FrameType::kCredit && !DecodeCredit(frame.payload, bytes)) return false;
  const auto it = streams_.find(Key(frame.stream));
  if (it == streams_.end()) return true;
  if (frame.type == io::FrameType::kCredit) {
    Credit(*it->second, bytes);
    return true;
  }
  if (frame.type != io::FrameType::kWatchCancel) return false;
  if (it->second->watcher != nullptr) hub_.Close(*it->second->watcher);
  streams_.erase(it);
  return true;
}

bool WatchConnection::Create(const io::Frame& frame) {
  WatchCreateFrame create;
  if (!DecodeWatchCreate(frame.payload, create)) return false;
  if (streams_.size() >= options_.streams_max) {
    Send(io::FrameType::kWatchCanceled, frame.stream,
         EncodeWatchCanceled({0, "etcdserver: too many requests"}));
    return true;
  }
  auto& stream = streams_[Key(frame.stream)];
  if (stream != nullptr) return false;  // the proxy names no two streams alike
  stream = std::make_unique<Stream>(*this, frame.stream, create.credit);
  stream->watcher = hub_.Prepare(
      {.range = create.range, .prev_kv = create.prev_kv, .start = create.start}, *stream);
  opening_.push_back(Key(frame.stream));
  ready_ = true;
  return true;
}

void WatchConnection::Credit(Stream& stream, std::uint32_t bytes) {
  stream.credit += bytes;
  if (stream.writable || stream.credit <= 0) return;
  if (out_.unsent_bytes() >= options_.unsent_bytes_max) return;  // OnDrained comes
  stream.writable = true;
  hub_.Drained(stream);
}

void WatchConnection::OnDrained(Time now) {
  now_ = now;
  for (const auto& [key, stream] : streams_) {
    if (stream->writable || stream->credit <= 0) continue;
    stream->writable = true;
    hub_.Drained(*stream);
  }
}

void WatchConnection::TryOpenAll() {
  if (!std::exchange(ready_, false)) return;
  std::erase_if(opening_, [this](std::uint64_t key) {
    const auto it = streams_.find(key);
    return it == streams_.end() || hub_.TryOpen(*it->second->watcher);
  });
}

void WatchConnection::SendEvents(Stream& stream, const mvcc::EncodedEvents& events) {
  for (std::size_t first = 0; first < events.size();) {
    std::size_t last = first + 1;
    while (last < events.size() &&
           events.end(last) - events.begin(first) <= options_.frame_bytes_max) {
      ++last;
    }
    const WatchEventsHead part = EncodeWatchEvents(events, first, last);
    const std::array<std::string_view, 2> pieces{part.head, part.bytes};
    const std::uint8_t flags = last < events.size() ? io::kFlagMore : 0;
    out_.Send(
        {.type = io::FrameType::kWatchEvents, .flags = flags, .stream = stream.id, .payload = {}},
        pieces);
    stream.credit -= static_cast<std::int64_t>(part.head.size() + part.bytes.size());
    first = last;
  }
  sent_events_ = true;
  if (stream.credit > 0 && out_.unsent_bytes() < options_.unsent_bytes_max) return;
  stream.writable = false;
  stream.blocked_since = now_;
}

void WatchConnection::Send(io::FrameType type, io::StreamId stream, std::string_view payload) {
  const std::array<std::string_view, 1> pieces{payload};
  out_.Send({.type = type, .stream = stream, .payload = {}}, pieces);
}

void WatchConnection::OnTurn(Time now, std::uint64_t auth_revision) {
  now_ = now;
  TryOpenAll();
  for (const std::uint64_t key : std::exchange(ended_, {})) streams_.erase(key);
  if (WatermarkDue()) SendWatermark(auth_revision);
}

bool WatchConnection::WatermarkDue() const {
  if (streams_.empty()) return false;
  return sent_events_ || now_ >= NextDeadline();
}

Time WatchConnection::NextDeadline() const {
  if (streams_.empty()) return kNever;
  return watermark_at_ +
         (hub_.revision() > watermark_ ? options_.watermark_busy : options_.watermark_idle);
}

void WatchConnection::SendWatermark(std::uint64_t auth_revision) {
  WatermarkFrame frame{.complete = hub_.revision(),
                       .compact_revision = hub_.compact_revision(),
                       .auth_revision = auth_revision};
  std::erase_if(lagging_, [&](std::uint64_t key) {
    const auto it = streams_.find(key);
    if (it == streams_.end() || it->second->watcher == nullptr) return true;
    Stream& stream = *it->second;
    if (hub_.Complete(*stream.watcher) != 0) {
      stream.listed = false;
      return true;
    }
    if (stream.open) frame.lagging.push_back(stream.id);
    return false;
  });
  Send(io::FrameType::kWatermark, {}, EncodeWatermark(frame));
  sent_events_ = false;
  watermark_ = frame.complete;
  watermark_at_ = now_;
}

}  // namespace coppice::replica
