#include "loadgen/sim/checks/prompt.h"

#include <algorithm>

namespace coppice::sim {
namespace {

constexpr Micros kCatchUpMax = 3 * kSecond;
// A stream's window of 64 KiB (grpc_server.h) and rpc::Call::kHighWater.
constexpr std::size_t kFullBytes = (64U << 10) + (256U << 10);

bool Quiet(const RunHistory& history, Time time) {
  return history.healed_at != 0 && time >= history.healed_at + kHealthyAfter &&
         time < history.settling_at;
}

// What the revision has for all watches that were asked for on the stream by then.
std::size_t BytesFor(const Evidence& evidence, const StreamRecord& stream, Revision revision) {
  std::size_t bytes = 0;
  for (const auto& change : evidence.oracle.model().At(revision)) {
    for (const WatchCreated& watch : stream.creates) {
      if (watch.start > revision || !watch.range.Contains(change.kv.key)) continue;
      if (change.kv.version == 0 ? watch.no_delete : watch.no_put) continue;
      bytes += change.kv.key.size() + change.kv.value.size();
    }
  }
  return bytes;
}

}  // namespace

Time Promptness::Due(Time created, Revision revision) const {
  if (evidence_.delivery_max == 0) return kNever;
  const Time seen = evidence_.acks.FirstAt(revision);
  if (!Quiet(evidence_.history, seen)) return kNever;
  Time from = std::max(seen, created + kCatchUpMax);
  for (const Unread& unread : stream_.unread) {
    if (unread.from > from + evidence_.delivery_max) break;
    if (unread.to == kNever) return kNever;
    from = std::max(from, unread.to + kCatchUpMax);
  }
  return from + evidence_.delivery_max;
}

FullStreams::FullStreams(const Evidence& evidence) {
  for (const auto& stream : evidence.history.streams) {
    for (const Unread& unread : stream->unread) Add(evidence, *stream, unread);
  }
}

void FullStreams::Add(const Evidence& evidence, const StreamRecord& stream, const Unread& unread) {
  const RunHistory& history = evidence.history;
  const Time end = std::min(stream.ended == 0 ? unread.to : std::min(stream.ended, unread.to),
                            history.settling_at);
  if (!Quiet(history, end - 1)) return;
  std::size_t bytes = 0;
  Revision revision = evidence.acks.Before(unread.from).revision + 1;
  const Revision last = evidence.acks.Before(end).revision;
  while (revision <= last && bytes < kFullBytes) bytes += BytesFor(evidence, stream, revision++);
  if (bytes < kFullBytes) return;
  all_.push_back({&stream, evidence.acks.FirstAt(revision), end});
}

bool FullStreams::Beside(const StreamRecord& stream, std::string_view key, Time time) const {
  return std::any_of(all_.begin(), all_.end(), [&](const Full& full) {
    if (full.stream == &stream || full.stream->endpoint != stream.endpoint) return false;
    if (time < full.from || time >= full.to) return false;
    const auto& watches = full.stream->creates;
    return std::any_of(watches.begin(), watches.end(),
                       [key](const WatchCreated& watch) { return watch.range.Contains(key); });
  });
}

}  // namespace coppice::sim
