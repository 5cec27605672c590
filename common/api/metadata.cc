#include "common/api/metadata.h"

#include <charconv>
#include <string>

#include "common/api/duration.h"
#include "common/rpc/server.h"

namespace coppice::api {
namespace {

constexpr std::string_view kModes = "linearizable, bounded or serializable";

Status Invalid(std::string message) {
  return MakeStatus(StatusCode::kInvalidArgument, "coppice: " + message);
}
Status BadValue(std::string_view key, std::string_view value, std::string_view accepted) {
  return Invalid(std::string(key) + ": \"" + std::string(value.substr(0, 64)) + "\" is not " +
                 std::string(accepted));
}

// The names under which a user gave the values, for the messages: metadata or a URL's query.
struct Names {
  std::string_view consistency;
  std::string_view max_staleness;
  std::string_view min_revision;
};
constexpr Names kMetadataNames{"coppice-consistency", "coppice-max-staleness",
                               "coppice-min-revision"};
constexpr Names kQueryNames{"consistency", "max-staleness", ""};

Status ParseMode(std::string_view key, std::string_view value, ReadMode& out) {
  for (ReadMode mode : {ReadMode::kLinearizable, ReadMode::kBounded, ReadMode::kSerializable}) {
    if (value == NameOf(mode)) {
      out = mode;
      return OkStatus();
    }
  }
  return BadValue(key, value, kModes);
}

Status ParseStaleness(std::string_view key, std::string_view value, Consistency& out) {
  Micros duration = 0;
  if (!ParseDuration(value, duration)) {
    return BadValue(key, value, "a duration such as 500us, 250ms, 2s or 1m");
  }
  out.max_staleness = duration;
  return OkStatus();
}

template <typename Int>
bool ParseWhole(std::string_view text, int base, Int& out) {
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, out, base);
  return error == std::errc() && rest == end;
}

Status ParseMinRevision(std::string_view key, std::string_view value, Consistency& out) {
  std::string_view revision = value;
  const std::size_t slash = value.find('/');
  bool valid = true;
  if (slash != std::string_view::npos) {
    revision = value.substr(slash + 1);
    const std::string_view cluster = value.substr(0, slash);
    // from_chars would take a sign.
    valid = !cluster.starts_with('-') && ParseWhole(cluster, 16, out.session_cluster) &&
            out.session_cluster != 0;
  }
  valid = valid && ParseWhole(revision, 10, out.min_revision) && out.min_revision >= 0;
  if (valid) return OkStatus();
  return BadValue(key, value,
                  "[<cluster id in hex>/]<revision>, such as 42 or cdf818194e3a8c32/42");
}

Status CheckBounds(const Names& names, const Consistency& c) {
  if (c.max_staleness && c.mode != ReadMode::kBounded) {
    return Invalid(std::string(names.max_staleness) + " needs " + std::string(names.consistency) +
                   (names.min_revision.empty() ? "=bounded" : ": bounded") + ", and it is " +
                   std::string(NameOf(c.mode)));
  }
  if (c.mode == ReadMode::kBounded && !c.max_staleness && c.min_revision == 0) {
    std::string message =
        std::string(names.consistency) + ": bounded needs " + std::string(names.max_staleness);
    if (!names.min_revision.empty()) {
      message += " (such as 250ms) or " + std::string(names.min_revision);
    }
    return Invalid(std::move(message));
  }
  return OkStatus();
}

Status ApplyMetadata(const rpc::Metadata& metadata, Consistency& out) {
  const Names& names = kMetadataNames;
  if (!metadata.unknown_coppice.empty()) {
    return Invalid("unknown metadata " + std::string(metadata.unknown_coppice.substr(0, 64)) +
                   "; accepted are coppice-consistency, coppice-max-staleness and "
                   "coppice-min-revision");
  }
  if (metadata.consistency.empty() && metadata.max_staleness.empty() &&
      metadata.min_revision.empty()) {
    return Invalid("a coppice-* metadata key has no value");
  }
  if (!metadata.consistency.empty()) {
    COPPICE_RETURN_IF_ERROR(ParseMode(names.consistency, metadata.consistency, out.mode));
    out.max_staleness.reset();  // a bound of the listener goes with the listener's mode
  }
  if (!metadata.max_staleness.empty()) {
    COPPICE_RETURN_IF_ERROR(ParseStaleness(names.max_staleness, metadata.max_staleness, out));
  }
  if (!metadata.min_revision.empty()) {
    COPPICE_RETURN_IF_ERROR(ParseMinRevision(names.min_revision, metadata.min_revision, out));
  }
  return CheckBounds(names, out);
}

}  // namespace

std::string_view NameOf(ReadMode mode) {
  switch (mode) {
    case ReadMode::kLinearizable:
      return "linearizable";
    case ReadMode::kBounded:
      return "bounded";
    case ReadMode::kSerializable:
      return "serializable";
  }
  return "unknown";
}

Status ResolveConsistency(const rpc::Metadata& metadata, bool serializable,
                          const Consistency& listener_default, Consistency& out) {
  if (serializable) {
    out = {};
    out.mode = ReadMode::kSerializable;
  } else {
    out = listener_default;
  }
  out.require_leader = metadata.has_leader;
  out.trailers = metadata.any_coppice;
  return metadata.any_coppice ? ApplyMetadata(metadata, out) : OkStatus();
}

Status ParseListenerDefault(std::string_view query, Consistency& out) {
  out = {};
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (key == kQueryNames.consistency) {
      COPPICE_RETURN_IF_ERROR(ParseMode(key, value, out.mode));
    } else if (key == kQueryNames.max_staleness) {
      COPPICE_RETURN_IF_ERROR(ParseStaleness(key, value, out));
    } else {
      return Invalid("unknown listener option \"" + std::string(key) +
                     "\"; accepted are consistency and max-staleness");
    }
  }
  return CheckBounds(kQueryNames, out);
}

}  // namespace coppice::api
