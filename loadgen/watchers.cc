#include "loadgen/watchers.h"

#include <algorithm>
#include <utility>

namespace coppice::loadgen {
namespace {

constexpr Micros kReopenAfter = 20 * kMillisecond;

}  // namespace

Watchers::Watchers(io::Loop& loop, const Options& options, Revision start, Listener& listener)
    : loop_(loop),
      single_keys_(options.scenario == Scenario::kWatch),
      names_(options.prefix, options.keys, Distribution::kUniform, 0),
      listener_(listener),
      watchers_(static_cast<std::size_t>(options.watchers)),
      created_(watchers_.size()),
      missing_(watchers_.size()) {
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    watchers_[i].key = i % options.keys;
    watchers_[i].next = start;
  }
  const auto streams = static_cast<std::size_t>(options.watch_streams);
  for (std::size_t i = 0; i < streams; ++i) {
    auto stream = std::make_unique<Stream>();
    stream->owner = this;
    stream->channel = i % static_cast<std::size_t>(options.watch_connections);
    stream->first = watchers_.size() * i / streams;
    stream->end = watchers_.size() * (i + 1) / streams;
    streams_.push_back(std::move(stream));
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(options.watch_connections); ++i) {
    channels_.push_back(std::make_unique<Channel>(
        loop, options, i, [this, i](const Status& status) { OnChannel(i, status); }));
  }
}

void Watchers::Start(std::function<void()> created) {
  on_created_ = std::move(created);
  for (auto& channel : channels_) channel->Connect();
}

void Watchers::OnChannel(std::size_t channel, const Status& status) {
  if (!status.ok()) return;
  for (auto& stream : streams_) {
    if (stream->channel == channel && stream->call < 0) Open(*stream);
  }
}

void Watchers::Open(Stream& stream) {
  Channel& channel = *channels_[stream.channel];
  stream.call = channel.usable() ? channel.Watch(0, stream) : -1;
  if (stream.call < 0) return;
  if (std::exchange(stream.opened_before, true)) ++summary_.resumed;
  std::string message;
  const std::string range_end = single_keys_ ? std::string() : names_.range_end();
  for (std::size_t i = stream.first; i < stream.end; ++i) {
    WatchCreate create;
    create.key = single_keys_ ? names_.Name(watchers_[i].key) : names_.prefix();
    create.range_end = range_end;
    create.start_revision = watchers_[i].next;
    create.watch_id = static_cast<std::int64_t>(i) + 1;
    EncodeWatchCreate(message, create);
    channel.Send(stream.call, message);
  }
}

void Watchers::OnReply(Stream& stream, std::string_view message) {
  WatchReply reply;
  if (!ScanWatchReply(message, reply)) {
    ++summary_.wrong;
    return;
  }
  const auto index = static_cast<std::size_t>(reply.watch_id - 1);
  if (index < stream.first || index >= stream.end) {
    ++(reply.canceled ? summary_.canceled : summary_.wrong);
    return;
  }
  if (reply.canceled) ++summary_.canceled;
  if (reply.created && !created_[index]) {
    created_[index] = true;
    if (--missing_ == 0) on_created_();
  }
  EventView event;
  while (NextEvent(reply.events, event)) Check(index, event);
  if (!reply.events.empty()) ++summary_.wrong;
}

void Watchers::Check(std::uint64_t index, const EventView& event) {
  Watcher& watcher = watchers_[index];
  ++summary_.events;
  const KeyValueView& kv = event.kv;
  if (kv.mod_revision <= watcher.last || kv.mod_revision < watcher.next) {
    ++summary_.repeats;
  } else if (single_keys_ && watcher.version > 0 && kv.version != watcher.version + 1) {
    ++summary_.gaps;
  }
  const bool belongs =
      single_keys_ ? kv.key == names_.Name(watcher.key) : kv.key.starts_with(names_.prefix());
  if (!belongs || (!event.is_delete && !Values::BelongsTo(kv.value, kv.key))) ++summary_.wrong;
  watcher.last = std::max(watcher.last, kv.mod_revision);
  watcher.next = watcher.last + 1;
  watcher.version = event.is_delete ? 0 : kv.version;
  listener_.OnWatchEvent(index, event);
}

void Watchers::OnEnd(Stream& stream, const Status&) {
  stream.call = -1;
  // A lost connection reopens it when it stands again; this is for a server that ends the stream.
  loop_.RunAt(loop_.now() + kReopenAfter, [this, &stream] {
    if (stream.call < 0) Open(stream);
  });
}

}  // namespace coppice::loadgen
