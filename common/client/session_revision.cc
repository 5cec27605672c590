#include "common/client/session_revision.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace coppice::client {
namespace {

constexpr std::string_view kConsistency = "coppice-consistency";
constexpr std::string_view kMaxStaleness = "coppice-max-staleness";
constexpr std::string_view kMinRevision = "coppice-min-revision";

std::string_view NameOf(ReadMode mode) {
  switch (mode) {
    case ReadMode::kLinearizable:
      return "linearizable";
    case ReadMode::kBounded:
      return "bounded";
    case ReadMode::kSerializable:
      return "serializable";
  }
  return "";
}

}  // namespace

bool SessionRevision::Observe(const ReplyHeader& header) {
  if (header.cluster_id != 0) {
    if (cluster_id_ == 0) cluster_id_ = header.cluster_id;
    if (cluster_id_ != header.cluster_id) return false;
  }
  revision_ = std::max(revision_, header.revision);
  return true;
}

std::string SessionRevision::Token() const {
  if (revision_ == 0) return "";
  return cluster_id_ == 0 ? std::to_string(revision_)
                          : fmt::format("{:x}/{}", cluster_id_, revision_);
}

Metadata MetadataFor(const CallOptions& options, const SessionRevision& session) {
  Metadata out = options.metadata;
  const auto add = [&](std::string_view name, std::string value) {
    const bool given = std::any_of(out.begin(), out.end(),
                                   [name](const auto& pair) { return pair.first == name; });
    if (!given && !value.empty()) out.emplace_back(name, std::move(value));
  };
  if (options.mode) add(kConsistency, std::string(NameOf(*options.mode)));
  if (options.max_staleness) add(kMaxStaleness, fmt::format("{}us", *options.max_staleness));
  if (options.in_session) add(kMinRevision, session.Token());
  return out;
}

}  // namespace coppice::client
