#include "loadgen/sim/clients/record.h"

#include <fmt/format.h>

namespace coppice::sim {
namespace {

constexpr std::string_view kKinds[] = {"range",       "put",    "delete", "txn",  "compact",
                                       "member-list", "status", "hashkv", "alarm"};
constexpr std::string_view kOutcomes[] = {"pending", "ok", "refused", "unknown"};
constexpr std::string_view kModes[] = {"linearizable", "bounded", "serializable"};
constexpr std::size_t kShownMax = 60;

// Requests are protobuf: what can be read of them shows enough.
std::string Printable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes.substr(0, kShownMax)) {
    if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\{:x}", static_cast<unsigned char>(c));
    }
  }
  if (bytes.size() > kShownMax) out += fmt::format("..({} bytes)", bytes.size());
  return out;
}

std::string Describe(const Consistency& consistency) {
  std::string out(kModes[static_cast<int>(consistency.mode)]);
  if (consistency.max_staleness) out += fmt::format(" max {} us", *consistency.max_staleness);
  if (consistency.min_revision != 0) out += fmt::format(" min {}", consistency.min_revision);
  return out;
}

}  // namespace

std::string Describe(const OpRecord& op) {
  std::string out = fmt::format("[{}..{}] op {} client {} at {}: {} {} {}", op.invoke, op.end,
                                op.number, op.client, op.endpoint,
                                kKinds[static_cast<int>(op.kind)], Describe(op.consistency),
                                op.tag.empty() ? Printable(op.request) : "@" + op.tag + "@");
  out += fmt::format(" -> {} revision {}", kOutcomes[static_cast<int>(op.outcome)], op.revision);
  if (!op.status.ok()) out += fmt::format(" ({})", MessageOf(op.status));
  if (!op.served_by.empty()) out += fmt::format(" by {} {} us old", op.served_by, op.staleness);
  return out;
}

std::string Describe(const StreamRecord& stream) {
  return fmt::format("[{}..] watch stream {} client {} at {}: {}", stream.opened, stream.number,
                     stream.client, stream.endpoint, Describe(stream.consistency));
}

std::string Describe(const Kv& kv) {
  return fmt::format("{}={} create {} mod {} version {}", kv.key, Printable(kv.value), kv.create,
                     kv.mod, kv.version);
}

std::string Describe(const WatchEvent& event) {
  return fmt::format("{} {}{}", event.is_delete ? "DELETE" : "PUT", Describe(event.kv),
                     event.prev ? " was " + Describe(*event.prev) : "");
}

std::string Describe(const WatchReply& reply) {
  std::string out = fmt::format("[{}] watch {} header {}", reply.at, reply.watch_id, reply.header);
  if (reply.created) out += " created";
  if (reply.canceled) {
    out += fmt::format(" canceled compact {} ({})", reply.compact_revision, reply.reason);
  }
  if (reply.fragment) out += " fragment";
  for (const WatchEvent& event : reply.events) out += " " + Describe(event);
  return out;
}

}  // namespace coppice::sim
