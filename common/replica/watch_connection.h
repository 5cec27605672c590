#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/io/frame.h"
#include "common/mvcc/watch_source.h"
#include "common/replica/watch_hub.h"
#include "common/replica/watch_wire.h"

namespace coppice::replica {

// Where frames for one internal connection go. `frame.payload` is ignored: the payload is the
// pieces, copied in order.
class FrameOut {
 public:
  virtual ~FrameOut() = default;
  virtual void Send(const io::Frame& frame, std::span<const std::string_view> pieces) = 0;
  virtual std::size_t unsent_bytes() const = 0;
};

struct WatchConnectionOptions {
  std::size_t frame_bytes_max = 1U << 20;    // a larger revision goes in parts
  std::size_t unsent_bytes_max = 16U << 20;  // of the connection; then its streams fall behind
  Micros watermark_idle = 100 * kMillisecond;
  Micros watermark_busy = 5 * kMillisecond;  // if revisions advance but no event was sent
  std::size_t streams_max = 100'000;
};

// The backend's end of a proxy's watches: one internal connection, its streams being subscriptions
// to the hub of its loop. Counts each stream's credit, and says by watermarks how far all of them
// are complete, so that the proxy can resume elsewhere without gap or repeat.
//
// Pure. Thread: the hub's loop. The hub must outlive it; destroying it ends its streams.
class WatchConnection {
 public:
  WatchConnection(const WatchConnectionOptions& options, WatchHub& hub, FrameOut& out, Time now);
  ~WatchConnection();
  WatchConnection(const WatchConnection&) = delete;
  WatchConnection& operator=(const WatchConnection&) = delete;

  // kWatchCreate, kWatchCancel or kCredit. False: malformed, close the connection. A frame of a
  // stream that is over is ignored: the two ends may cancel at once.
  bool OnFrame(Time now, const io::Frame& frame);
  void OnDrained(Time now);  // out.unsent_bytes() is low again
  // At the end of each turn in which the hub stepped, and at NextDeadline.
  void OnTurn(Time now, std::uint64_t auth_revision);
  Time NextDeadline() const;
  std::size_t streams() const { return streams_.size(); }

 private:
  struct Stream;
  friend struct Stream;
  static std::uint64_t Key(io::StreamId id) {
    return static_cast<std::uint64_t>(id.slot) << 32 | id.generation;
  }
  bool Create(const io::Frame& frame);
  void Credit(Stream& stream, std::uint32_t bytes);
  void TryOpenAll();
  void SendEvents(Stream& stream, const mvcc::EncodedEvents& events);
  void Send(io::FrameType type, io::StreamId stream, std::string_view payload);
  void SendWatermark(std::uint64_t auth_revision);
  bool WatermarkDue() const;

  const WatchConnectionOptions options_;
  WatchHub& hub_;
  FrameOut& out_;
  Time now_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::uint64_t> opening_;  // keys of streams that are not open yet
  std::vector<std::uint64_t> lagging_;  // of those that may be behind
  std::vector<std::uint64_t> ended_;    // canceled by the hub, to be freed
  bool ready_ = false;                  // some of opening_ might open
  bool sent_events_ = false;            // since the last watermark
  Revision watermark_ = 0;              // the last one sent
  Time watermark_at_ = 0;
};

}  // namespace coppice::replica
