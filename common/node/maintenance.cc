// Cluster and Maintenance requests of IoNode.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/api/encode.h"
#include "common/api/errors.h"
#include "common/api/parse.h"
#include "common/base/entry.h"
#include "common/node/io_node.h"
#include "etcd/rpc.pb.h"

namespace coppice::node {
namespace {

// kube-apiserver turns progress requests off below 3.4.31 and for 3.5.0-3.5.12, so this is what
// clients are told (etcd issue 15220 and Kubernetes' check of it).
constexpr const char* kEtcdVersion = "3.6.0";

void FillHeader(const Facts& facts, const mvcc::ReadView& view, etcdserverpb::ResponseHeader& out) {
  out.set_cluster_id(facts.cluster_id);
  out.set_member_id(facts.node.value());
  out.set_revision(view.revision);
  out.set_raft_term(facts.term.value());
}

template <typename Message>
void Answer(api::Replier& replier, const Message& message, const api::Served& served) {
  std::string bytes;
  message.SerializeToString(&bytes);
  const std::string_view piece = bytes;
  replier.Ok({&piece, 1}, served);
}

}  // namespace

void IoNode::ServeMemberList(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  Question answer = [this](const mvcc::ReadView& view, api::Replier& to,
                           const api::Served& served) {
    etcdserverpb::MemberListResponse response;
    FillHeader(*facts_, view, *response.mutable_header());
    response.mutable_header()->clear_revision();  // as etcd: membership has no revision
    if (facts_->members != nullptr) {
      for (const replica::Registration& node : *facts_->members) {
        if (node.role == replica::NodeRole::kProxy) continue;
        etcdserverpb::Member& member = *response.add_members();
        member.set_id(node.id.value());
        member.set_name(node.name);
        for (const std::string& url : node.peer_urls) member.add_peerurls(url);
        for (const std::string& url : node.client_urls) member.add_clienturls(url);
        member.set_islearner(node.role == replica::NodeRole::kLearner);
      }
    }
    Answer(to, response, served);
  };
  reads_.Add(request, 0, std::move(answer), std::move(replier));
}

void IoNode::ServeStatus(const api::Request& /*request*/, std::unique_ptr<api::Replier> replier) {
  const mvcc::ReadView& view = store_.View(options_.index);
  etcdserverpb::StatusResponse response;
  FillHeader(*facts_, view, *response.mutable_header());
  response.set_version(kEtcdVersion);
  response.set_dbsize(static_cast<std::int64_t>(store_.DiskBytes()));
  response.set_dbsizeinuse(static_cast<std::int64_t>(store_.DiskBytes()));
  response.set_leader(facts_->leader.value());
  response.set_raftindex(std::max(facts_->commit, view.applied).value());
  response.set_raftappliedindex(view.applied.value());
  response.set_raftterm(facts_->term.value());
  response.set_islearner(facts_->learner);
  if (facts_->leader == NodeId()) response.add_errors("etcdserver: no leader");
  for (const auto& [member, type] : facts_->alarms) {
    etcdserverpb::AlarmMember alarm;
    response.add_errors("memberID:" + std::to_string(member.value()) + " alarm:" +
                        (type == mvcc::AlarmType::kNoSpace ? "NOSPACE" : "CORRUPT") + " ");
  }
  api::Served served;
  served.by = facts_->node;
  Answer(*replier, response, served);
}

void IoNode::ServeHashKv(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  etcdserverpb::HashKVRequest parsed;
  if (const Status status = api::ParseMessage(request.bytes, parsed); !status.ok()) {
    return replier->Fail(status);
  }
  const mvcc::ReadView& view = store_.View(options_.index);
  std::uint32_t hash = 0;
  Revision compacted = 0;
  const mvcc::Error error = store_.HashKv(parsed.revision(), hash, compacted);
  if (error != mvcc::Error::kNone) return replier->Fail(api::ToStatus(error));
  etcdserverpb::HashKVResponse response;
  FillHeader(*facts_, view, *response.mutable_header());
  response.set_hash(hash);
  response.set_compact_revision(compacted);
  response.set_hash_revision(parsed.revision() != 0 ? parsed.revision() : view.revision);
  api::Served served;
  served.by = facts_->node;
  Answer(*replier, response, served);
}

void IoNode::ServeAlarm(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  etcdserverpb::AlarmRequest parsed;
  if (const Status status = api::ParseMessage(request.bytes, parsed); !status.ok()) {
    return replier->FailNotProposed(status);
  }
  // proto3 lets any number through, and an entry that cannot be read would stop every replica.
  if (!etcdserverpb::AlarmType_IsValid(parsed.alarm()) ||
      !etcdserverpb::AlarmRequest_AlarmAction_IsValid(parsed.action())) {
    return replier->FailNotProposed(MakeStatus(
        StatusCode::kInvalidArgument,
        fmt::format("etcdserver: there is no alarm {} or no alarm action {}",
                    static_cast<int>(parsed.alarm()), static_cast<int>(parsed.action()))));
  }
  if (parsed.action() != etcdserverpb::AlarmRequest::GET) {
    mvcc::AlarmOp op;
    op.activate = parsed.action() == etcdserverpb::AlarmRequest::ACTIVATE;
    op.member = NodeId(parsed.memberid());
    op.type = static_cast<mvcc::AlarmType>(parsed.alarm());
    return Write(request, mvcc::Command(op), std::move(replier));
  }
  // Linearizable, as etcd's: whoever disarmed one does not see it again.
  Question answer = [this, wanted = parsed.alarm()](const mvcc::ReadView& view, api::Replier& to,
                                                    const api::Served& served) {
    etcdserverpb::AlarmResponse response;
    FillHeader(*facts_, view, *response.mutable_header());
    for (const auto& [member, type] : facts_->alarms) {
      if (wanted != etcdserverpb::NONE && static_cast<int>(type) != wanted) continue;
      etcdserverpb::AlarmMember& alarm = *response.add_alarms();
      alarm.set_memberid(member.value());
      alarm.set_alarm(static_cast<etcdserverpb::AlarmType>(type));
    }
    Answer(to, response, served);
  };
  api::Request read = request;
  read.consistency.mode = ReadMode::kLinearizable;
  reads_.Add(read, 0, std::move(answer), std::move(replier));
}

// As etcd: only at the leader, only to a voting member, and answered once that one leads.
void IoNode::ServeMoveLeader(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  etcdserverpb::MoveLeaderRequest parsed;
  if (const Status status = api::ParseMessage(request.bytes, parsed); !status.ok()) {
    return replier->Fail(status);
  }
  if (facts_->learner) return replier->Fail(api::ToStatus(api::EtcdError::kNotSupportedForLearner));
  if (!facts_->is_leader) return replier->Fail(api::ToStatus(api::EtcdError::kNotLeader));
  const NodeId to(parsed.targetid());
  const auto is_target = [to](const replica::Registration& member) {
    return member.id == to && member.role == replica::NodeRole::kVoter;
  };
  if (facts_->members == nullptr ||
      std::none_of(facts_->members->begin(), facts_->members->end(), is_target)) {
    return replier->Fail(api::ToStatus(api::EtcdError::kBadLeaderTransferee));
  }
  moves_.push_back({to, request.deadline, std::move(replier)});
  if (to != facts_->node) core_.MoveLeader(to);
}

void IoNode::Defragmented(const Status& status) {
  api::Served served;
  served.by = facts_->node;
  for (const auto& replier : std::exchange(defragments_, {})) {
    status.ok() ? replier->Ok({}, served) : replier->Fail(status);  // etcd's has no header
  }
}

void IoNode::FinishMoves(Time now) {
  if (moves_.empty()) return;
  std::vector<Move> going;
  for (Move& move : std::exchange(moves_, {})) {
    api::Served served;
    served.by = facts_->node;
    if (facts_->leader == move.to) {
      move.replier->Ok({}, served);  // etcd's has no header
    } else if (now >= move.deadline) {
      move.replier->Fail(api::ToStatus(api::EtcdError::kTimeout));
    } else {
      going.push_back(std::move(move));
    }
  }
  for (Move& move : going) moves_.push_back(std::move(move));
}

}  // namespace coppice::node
