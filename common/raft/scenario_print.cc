#include "common/raft/scenario_print.h"

#include <fmt/format.h>

namespace coppice::raft {
namespace {

std::string Position(Index index, Term term) {
  return fmt::format("{}/{}", index.value(), term.value());
}

std::string Text(const PreVoteRequest& m) {
  return fmt::format("PreVoteRequest last={}", Position(m.last_index, m.last_term));
}
std::string Text(const PreVoteReply& m) {
  return fmt::format("PreVoteReply {}", m.granted ? "granted" : "refused");
}
std::string Text(const VoteRequest& m) {
  return fmt::format("VoteRequest last={}{}", Position(m.last_index, m.last_term),
                     m.transfer ? " transfer" : "");
}
std::string Text(const VoteReply& m) {
  return fmt::format("VoteReply {}", m.granted ? "granted" : "refused");
}
std::string Text(const Append& m) {
  return fmt::format("Append prev={} commit={} round={} [{}]", Position(m.prev_index, m.prev_term),
                     m.commit.value(), m.round, Describe(m.entries));
}
std::string Text(const AppendReply& m) {
  if (m.ok) return fmt::format("AppendReply match={} round={}", m.match.value(), m.round);
  return fmt::format("AppendReply refused prev={} hint={} round={}", m.prev_index.value(),
                     Position(m.hint_index, m.hint_term), m.round);
}
std::string Text(const TimeoutNow&) {
  return "TimeoutNow";
}
std::string Text(const InstallSnapshot& m) {
  return "InstallSnapshot " + Position(m.index, m.index_term);
}
std::string Text(const SnapshotReply& m) {
  return fmt::format("SnapshotReply {} {}", m.index.value(), m.ok ? "ok" : "failed");
}

std::string List(const std::vector<NodeId>& ids) {
  std::string out;
  for (const NodeId id : ids) {
    if (!out.empty()) out += ",";
    out += std::to_string(id.value());
  }
  return out;
}

}  // namespace

std::string Describe(const Message& message) {
  return std::visit([](const auto& m) { return fmt::format("t{} {}", m.term.value(), Text(m)); },
                    message);
}

std::string Describe(const std::vector<EntryPtr>& entries) {
  if (entries.size() > 4) {
    return fmt::format("{} .. {}", Position(entries.front()->index(), entries.front()->term()),
                       Position(entries.back()->index(), entries.back()->term()));
  }
  std::string out;
  for (const EntryPtr& entry : entries) {
    if (!out.empty()) out += " ";
    out += Position(entry->index(), entry->term());
  }
  return out;
}

std::string Describe(const Configuration& configuration) {
  std::string out = List(configuration.voters);
  if (configuration.joint()) out += " and " + List(configuration.voters_old);
  if (!configuration.learners.empty()) out += " learners " + List(configuration.learners);
  return out;
}

const char* Describe(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "?";
}

}  // namespace coppice::raft
