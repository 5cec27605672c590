#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/api/encode.h"
#include "common/base/check.h"
#include "common/mvcc/testing/model.h"
#include "etcd/rpc.pb.h"
#include "loadgen/oracle.h"
#include "loadgen/sim/checks/checks.h"

namespace coppice::sim {

// A run written by hand, for tests of the checkers: what it says is true unless a test changes it.
// One thing after the other, ten microseconds apart.
class RunScript {
 public:
  RunScript() { history_.ops.reserve(256); }

  // --- Mutations: logged and acknowledged.
  OpRecord& Put(const std::string& key, bool prev_kv = false, std::size_t padding = 0) {
    const std::string tag = std::to_string(++tags_);
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value("@" + tag + "@" + std::string(padding, '.'));
    request.set_prev_kv(prev_kv);
    OpRecord& op = Mutation(OpKind::kPut, tag, request);
    mvcc::PutOp put;
    put.key = key;
    put.value = request.value();
    put.prev_kv = prev_kv;
    const auto& done = Log(mvcc::Command(std::move(put)));
    api::EncodePut(Header(done.after), std::get<mvcc::PutResult>(done.result.value), op.response);
    return End(op, done.after);
  }
  OpRecord& Delete(const std::string& key) {
    const std::string tag = std::to_string(++tags_);
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    request.set_range_end(key + std::string(1, '\0') + "@" + tag + "@");
    OpRecord& op = Mutation(OpKind::kDelete, tag, request);
    const auto& done = Log(mvcc::Command(
        mvcc::DeleteOp{mvcc::KeyRange::FromWire(request.key(), request.range_end()), false}));
    api::EncodeDelete(Header(done.after), std::get<mvcc::DeleteResult>(done.result.value),
                      op.response);
    return End(op, done.after);
  }
  // Puts of several keys: one revision.
  OpRecord& PutAll(const std::vector<std::string>& keys) {
    const std::string tag = std::to_string(++tags_);
    etcdserverpb::TxnRequest request;
    mvcc::TxnOp txn;
    for (const std::string& key : keys) {
      mvcc::PutOp put;
      put.key = key;
      put.value = "@" + tag + "@" + key;
      auto& op = *request.add_success()->mutable_request_put();
      op.set_key(put.key);
      op.set_value(put.value);
      txn.success.emplace_back(std::move(put));
    }
    OpRecord& op = Mutation(OpKind::kTxn, tag, request);
    const auto& done = Log(mvcc::Command(std::move(txn)));
    api::EncodeTxn(Header(done.after), std::get<mvcc::TxnResult>(done.result.value), op.response);
    return End(op, done.after);
  }
  OpRecord& Compact(Revision revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    OpRecord& op = Mutation(OpKind::kCompact, "", request);
    const auto& done = Log(mvcc::Command(mvcc::CompactOp{revision}));
    api::EncodeHeaderOnly(Header(done.after), op.response);
    return End(op, done.after);
  }
  void Loses(OpRecord& op) {  // its client never heard
    op.outcome = Outcome::kUnknown;
    op.response.clear();
    op.revision = 0;
  }

  // --- Reads, answered from the state at `revision` (0: the newest).
  OpRecord& Get(const std::string& key, ReadMode mode = ReadMode::kLinearizable,
                Revision revision = 0) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    return Read(request, mode, revision);
  }
  OpRecord& Read(const etcdserverpb::RangeRequest& request, ReadMode mode, Revision revision) {
    OpRecord& op = Begin(OpKind::kRange);
    op.consistency.mode = mode;
    if (mode == ReadMode::kBounded) op.consistency.max_staleness = 100;
    request.SerializeToString(&op.request);
    const Revision at = revision == 0 ? oracle_.revision() : revision;
    mvcc::RangeOp range;
    range.range = mvcc::KeyRange::FromWire(request.key(), request.range_end());
    range.revision = request.revision();
    range.limit = request.limit();
    const auto answer = oracle_.model().RangeAt(range, at);
    std::string kvs;
    for (const Kv& kv : answer.kvs) {
      etcdserverpb::RangeResponse one;
      one.add_kvs()->ParseFromString(mvcc::testing::EncodeKv(kv));
      kvs += one.SerializeAsString();
    }
    const api::RangeResponse response(Header(at), kvs, answer.more, answer.count);
    for (const std::string_view piece : response.pieces()) op.response.append(piece);
    return End(op, at);
  }
  void Refuse(OpRecord& op, const Status& status) {
    op.outcome = Outcome::kRefused;
    op.response.clear();
    op.revision = 0;
    op.status = status;
  }

  // --- Watches.
  StreamRecord& Stream(ReadMode mode = ReadMode::kLinearizable) {
    auto stream = std::make_unique<StreamRecord>();
    stream->endpoint = "p1";
    stream->tier = Tier::kProxy;
    stream->consistency.mode = mode;
    stream->opened = now_ += 10;
    stream->ended = INT64_MAX;  // nothing is expected of it at the end
    return *history_.streams.emplace_back(std::move(stream));
  }
  WatchReply& Create(StreamRecord& stream, std::int64_t id,
                     std::optional<WatchCreated> asked = std::nullopt) {
    WatchCreated spec = asked.value_or(All());
    spec.sent = now_ += 10;
    stream.creates.push_back(spec);
    WatchReply& reply = Reply(stream, id);
    reply.created = true;
    return reply;
  }
  static WatchCreated All(Revision start = 0) {
    WatchCreated spec;
    spec.range.unbounded = true;
    spec.start = start;
    return spec;
  }
  // The events of one revision.
  WatchReply& Deliver(StreamRecord& stream, std::int64_t id, Revision revision,
                      bool prev_kv = false) {
    WatchReply& reply = Reply(stream, id);
    reply.header = std::max(revision, header_);
    for (const auto& change : oracle_.model().At(revision)) {
      WatchEvent& event = reply.events.emplace_back();
      event.is_delete = change.kv.version == 0;
      event.kv = change.kv;
      if (prev_kv) event.prev = change.prev;
    }
    return reply;
  }
  WatchReply& Progress(StreamRecord& stream, Revision revision, std::int64_t id = -1) {
    WatchReply& reply = Reply(stream, id);
    reply.header = revision;
    return reply;
  }
  WatchReply& Cancel(StreamRecord& stream, std::int64_t id, Revision compact) {
    WatchReply& reply = Reply(stream, id);
    reply.canceled = true;
    reply.compact_revision = compact;
    reply.reason = "compacted";
    return reply;
  }

  void Wait(Micros time) { now_ += time; }
  Time now() const { return now_; }
  RunHistory& history() { return history_; }
  Aftermath& aftermath() { return aftermath_; }
  const Coverage& coverage() const { return coverage_; }
  const loadgen::Oracle& oracle() const { return oracle_; }
  std::vector<EntryPtr>& log() { return log_; }

  std::vector<Violation> Check() {
    aftermath_.logs.insert(aftermath_.logs.begin(), {"v1", Index(1), log_});
    return CheckRun(history_, aftermath_, coverage_);
  }
  // The properties that are violated.
  std::set<std::string> Broken() {
    std::set<std::string> broken;
    for (const Violation& violation : Check()) broken.insert(violation.property);
    return broken;
  }

 private:
  static api::ResponseHeader Header(Revision revision) { return {7, NodeId(1), revision, Term(1)}; }

  OpRecord& Begin(OpKind kind) {
    auto op = std::make_unique<OpRecord>();
    op->number = history_.ops.size();
    op->kind = kind;
    op->endpoint = "v1";
    op->invoke = now_ += 10;
    return *history_.ops.emplace_back(std::move(op));
  }
  template <typename Message>
  OpRecord& Mutation(OpKind kind, const std::string& tag, const Message& request) {
    OpRecord& op = Begin(kind);
    op.mutation = true;
    op.tag = tag;
    request.SerializeToString(&op.request);
    return op;
  }
  OpRecord& End(OpRecord& op, Revision revision) {
    op.end = now_ += 10;
    op.outcome = Outcome::kOk;
    op.revision = revision;
    return op;
  }
  const loadgen::Oracle::Mutation& Log(const mvcc::Command& command) {
    const EntryPtr entry = Entry::Make(Term(1), Index(log_.size() + 1), RecordKind::kCommand,
                                       mvcc::EncodeCommand(command));
    log_.push_back(entry);
    const Status status = oracle_.Apply(*entry);
    COPPICE_CHECK(status.ok());
    return oracle_.mutations().back();
  }
  WatchReply& Reply(StreamRecord& stream, std::int64_t id) {
    WatchReply& reply = stream.replies.emplace_back();
    reply.at = now_ += 10;
    reply.watch_id = id;
    reply.header = oracle_.revision();
    return reply;
  }

  RunHistory history_;
  Aftermath aftermath_;
  Coverage coverage_;
  std::vector<EntryPtr> log_;
  loadgen::Oracle oracle_;
  std::uint64_t tags_ = 0;
  Revision header_ = 0;
  Time now_ = 1000;
};

}  // namespace coppice::sim
