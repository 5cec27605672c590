#include "fuzz/edge_node.h"

#include <utility>

#include "common/api/encode.h"
#include "common/api/errors.h"
#include "common/api/parse.h"
#include "common/base/check.h"
#include "common/mvcc/memory_backend.h"
#include "common/replica/watch_history.h"

namespace coppice::fuzz {
namespace {

constexpr api::Served kServed{.by = NodeId(9), .staleness = 12'345};

std::unique_ptr<mvcc::Store> NewStore() {
  mvcc::StoreOptions options;
  options.ring_bytes = 4096;
  return mvcc::Store::Open(std::make_unique<mvcc::MemoryBackend>(), options).value();
}

api::ResponseHeader Header(Revision revision) {
  return {.cluster_id = 7, .member_id = NodeId(9), .revision = revision, .raft_term = Term(2)};
}

}  // namespace

EdgeNode::EdgeNode() : store_(NewStore()), hub_({}, 1, 0) {}

EdgeNode::~EdgeNode() = default;

void EdgeNode::Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  std::string response;
  const Status status = Answer(request, response);
  if (!status.ok()) {
    return count_++ % 2 == 0 ? replier->Fail(status) : replier->FailNotProposed(status);
  }
  if (count_++ % 3 == 0) {
    late_.push_back({std::move(replier), std::move(response)});
  } else {
    Send(std::move(replier), std::move(response));
  }
}

void EdgeNode::Send(std::unique_ptr<api::Replier> replier, std::string response) {
  if (count_ % 2 == 0) {
    const std::string_view pieces[] = {response, ""};
    return replier->Ok(pieces, kServed);
  }
  // As a cursor's answer comes: a bit at a time, and one that is larger than any window.
  if (count_ % 5 == 0) response.append(200'000, '\0');
  const std::size_t total = response.size();
  if (count_ % 3 == 0)
    return replier->Parts(total, feed_.Begin(std::move(response), kServed, false));
  if (count_ % 7 == 0) {
    response.resize(total / 2);
    return replier->Parts(total, feed_.Begin(std::move(response), kServed, true));
  }
  replier->Parts(total, std::make_unique<api::MadeParts>(
                            [left = std::move(response)](std::string& out) mutable {
                              out.append(left, 0, PartsFeed::kPieceBytes);
                              left.erase(0, PartsFeed::kPieceBytes);
                              return !left.empty();
                            },
                            kServed));
}

Status EdgeNode::Answer(const api::Request& request, std::string& response) {
  mvcc::CommandResult result;
  switch (request.method) {
    case api::Method::kRange:
      return Range(request.bytes, response);
    case api::Method::kPut: {
      mvcc::PutOp op;
      COPPICE_RETURN_IF_ERROR(api::ParsePut(request.bytes, op));
      COPPICE_RETURN_IF_ERROR(Propose(std::move(op), result));
      api::EncodePut(Header(result.revision), std::get<mvcc::PutResult>(result.value), response);
      return OkStatus();
    }
    case api::Method::kDeleteRange: {
      mvcc::DeleteOp op;
      COPPICE_RETURN_IF_ERROR(api::ParseDelete(request.bytes, op));
      COPPICE_RETURN_IF_ERROR(Propose(std::move(op), result));
      api::EncodeDelete(Header(result.revision), std::get<mvcc::DeleteResult>(result.value),
                        response);
      return OkStatus();
    }
    case api::Method::kTxn: {
      mvcc::TxnOp op;
      COPPICE_RETURN_IF_ERROR(api::ParseTxn(request.bytes, {}, op));
      COPPICE_RETURN_IF_ERROR(Propose(std::move(op), result));
      api::EncodeTxn(Header(result.revision), std::get<mvcc::TxnResult>(result.value), response);
      return OkStatus();
    }
    case api::Method::kCompact: {
      api::ParsedCompact parsed;
      COPPICE_RETURN_IF_ERROR(api::ParseCompact(request.bytes, parsed));
      COPPICE_RETURN_IF_ERROR(Propose(parsed.op, result));
      api::EncodeHeaderOnly(Header(result.revision), response);
      return OkStatus();
    }
    default:
      return ToStatus(api::EtcdError::kNoLeader);
  }
}

Status EdgeNode::Range(std::string_view bytes, std::string& response) {
  api::ParsedRange parsed;
  COPPICE_RETURN_IF_ERROR(api::ParseRange(bytes, parsed));
  const mvcc::ReadView& view = store_->View(0);
  mvcc::RangeResult result;
  const Status status = api::ToStatus(store_->Range(0, view, parsed.op, result));
  if (status.ok()) {
    const api::RangeResponse encoded(Header(view.revision), result.kvs, result.more, result.count);
    for (const std::string_view piece : encoded.pieces()) response.append(piece);
  }
  store_->Quiesce(0, false);
  return status;
}

Status EdgeNode::Propose(const mvcc::Command& command, mvcc::CommandResult& result) {
  const EntryPtr entry =
      Entry::Make(Term(2), ++index_, RecordKind::kCommand, mvcc::EncodeCommand(command));
  mvcc::ApplyOutput out;
  COPPICE_CHECK(store_->Apply({&entry, 1}, {}, out).ok(), "a parsed command applies");
  for (mvcc::EventBatchPtr& batch : out.events) events_.push_back(std::move(batch));
  result = std::move(out.results.front().second);
  return api::ToStatus(result.error);
}

void EdgeNode::Admit(const mvcc::KeyRange& /*range*/, const Consistency& /*consistency*/,
                     std::string_view token, Done done) {
  if (token == "denied") return done(MakeStatus(StatusCode::kPermissionDenied, "denied"), 0);
  if (count_++ % 2 == 0) return done(OkStatus(), store_->View(0).revision);
  admissions_.push_back(std::move(done));
}

void EdgeNode::Turn() {
  for (Done& done : std::exchange(admissions_, {})) done(OkStatus(), store_->View(0).revision);
  for (const mvcc::EventBatchPtr& batch : std::exchange(events_, {})) hub_.OnBatch(batch);
  const mvcc::ReadView& view = store_->View(0);
  hub_.OnView(view.revision, view.compact_revision);
  ReadHistory();
  store_->Quiesce(0, false);
  store_->CollectGarbage();
  for (Late& late : std::exchange(late_, {})) Send(std::move(late.replier), late.response);
  feed_.Arrive();
}

void EdgeNode::ReadHistory() {
  while (const auto need = hub_.PollHistory()) {
    replica::History history;
    if (!replica::ReadRing(*store_, *need, history)) {
      history = replica::ReadHistory(*store_, *need);
    }
    hub_.OnHistory(history);
  }
}

}  // namespace coppice::fuzz
