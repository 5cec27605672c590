#include "common/node/reads.h"

#include <utility>

#include "common/api/encode.h"
#include "common/api/errors.h"
#include "common/base/check.h"
#include "common/base/mutant.h"
#include "common/base/recycled.h"

namespace coppice::node {
namespace {

Status StatusOf(replica::ReadVerdict verdict) {
  switch (verdict) {
    case replica::ReadVerdict::kOtherCluster:
      return MakeStatus(
          StatusCode::kFailedPrecondition,
          "coppice-min-revision names another cluster's id: this cluster was restored "
          "or is another one; start a new session");
    case replica::ReadVerdict::kFutureRevision:
      return api::ToStatus(api::EtcdError::kFutureRev);
    default:
      return api::ToStatus(api::EtcdError::kTimeout);
  }
}

}  // namespace

struct Reads::Pending : replica::ReadNode, Recycled<Pending> {
  ReadBody body;
  std::unique_ptr<api::Replier> replier;
};

Reads::Reads(int loop, mvcc::Store& store, CorePort& core, std::uint64_t cluster_id)
    : loop_(loop), store_(store), core_(core), queue_(cluster_id) {}

Reads::~Reads() {
  queue_.Expire(kNever, [](replica::ReadNode& node, replica::ReadVerdict) {
    delete static_cast<Pending*>(&node);
  });
}

void Reads::Add(const api::Request& request, Revision revision, ReadBody body,
                std::unique_ptr<api::Replier> replier) {
  auto read = std::make_unique<Pending>();
  read->consistency = request.consistency;
  read->revision = revision;
  read->deadline = request.deadline;
  read->body = std::move(body);
  read->replier = std::move(replier);
  arrived_.push_back(std::move(read));
}

replica::ViewFacts Reads::FactsOf(const mvcc::ReadView& view) const {
  return {view.revision + (COPPICE_MUTANT(kAdmitByAnotherView) ? 1 : 0), view.fresh_as_of};
}

void Reads::OnTurn(Time now) {
  if (!arrived_.empty()) {
    const mvcc::ReadView& view = store_.View(loop_);
    const replica::ViewFacts facts = FactsOf(view);
    for (const std::unique_ptr<Pending>& read : arrived_) {
      if (read->consistency.mode != ReadMode::kLinearizable) Note(*read);
    }
    Warm(view);
    for (std::unique_ptr<Pending>& read : arrived_) {
      Pending& pending = *read.release();  // the queue's, or Answer's
      const replica::ReadVerdict verdict = queue_.Admit(now, facts, pending);
      if (verdict != replica::ReadVerdict::kQueued) Answer(now, pending, verdict);
    }
    arrived_.clear();
  }
  queue_.Expire(now, [&](replica::ReadNode& node, replica::ReadVerdict verdict) {
    Answer(now, node, verdict);
  });
  if (const int slot = queue_.Close(); slot >= 0) core_.ReadsWait(loop_, slot);
}

void Reads::ServeAsked(Time now, int slot) {
  const mvcc::ReadView& view = store_.View(loop_);
  queue_.ForEachAsked(
      slot, [&](const replica::ReadNode& node) { Note(static_cast<const Pending&>(node)); });
  Warm(view);
  queue_.Done(slot, FactsOf(view), [&](replica::ReadNode& node, replica::ReadVerdict verdict) {
    Answer(now, node, verdict);
  });
  if (const int next = queue_.Close(); next >= 0) core_.ReadsWait(loop_, next);
}

void Reads::Note(const Pending& read) {
  const auto* range = std::get_if<mvcc::RangeOp>(&read.body);
  if (range != nullptr && range->range.SingleKey()) warm_.push_back(range->range.begin);
}

void Reads::Warm(const mvcc::ReadView& view) {
  store_.Warm(view, warm_);
  warm_.clear();
}

void Reads::ViewPublished(Time now) {
  if (queue_.empty()) return;
  queue_.OnView(
      now, FactsOf(store_.View(loop_)),
      [&](replica::ReadNode& node, replica::ReadVerdict verdict) { Answer(now, node, verdict); });
}

void Reads::Answer(Time now, replica::ReadNode& node, replica::ReadVerdict verdict) {
  const std::unique_ptr<Pending> read(static_cast<Pending*>(&node));
  if (verdict == replica::ReadVerdict::kServe) return Serve(now, *read);
  read->replier->Fail(StatusOf(verdict));
}

void Reads::Serve(Time now, Pending& read) {
  ++served_;
  const mvcc::ReadView& view = store_.View(loop_);
  api::Served served;
  served.by = facts_->node;
  served.mode = read.consistency.mode;
  served.staleness = view.fresh_as_of == 0 ? -1 : now - view.fresh_as_of;
  served.compact_revision = view.compact_revision;
  if (const auto* range = std::get_if<mvcc::RangeOp>(&read.body)) {
    return ServeRange(view, *range, *read.replier, served);
  }
  if (const auto* txn = std::get_if<mvcc::TxnOp>(&read.body)) {
    return ServeTxn(view, *txn, *read.replier, served);
  }
  std::get<Question>(read.body)(view, *read.replier, served);
}

void Reads::ServeRange(const mvcc::ReadView& view, const mvcc::RangeOp& op, api::Replier& replier,
                       const api::Served& served) {
  if (!op.count_only && !op.range.SingleKey() &&
      store_.EstimateBytes(view, op) > mvcc::kRangeStepBytes) {
    return ServeCursor(view, op, replier, served);
  }
  result_.kvs.clear();
  result_.count = 0;
  result_.more = false;
  const mvcc::Error error = store_.Range(loop_, view, op, result_);
  if (error != mvcc::Error::kNone) return replier.Fail(api::ToStatus(error));
  const api::ResponseHeader header{facts_->cluster_id, facts_->node, view.revision, view.term};
  const api::RangeResponse response(header, result_.kvs, result_.more, result_.count);
  replier.Ok(response.pieces(), served);
}

void Reads::ServeCursor(const mvcc::ReadView& view, const mvcc::RangeOp& op, api::Replier& replier,
                        const api::Served& served) {
  std::shared_ptr<mvcc::RangeCursor> cursor = store_.NewCursor(loop_, op);
  if (cursor->error() != mvcc::Error::kNone) return replier.Fail(api::ToStatus(cursor->error()));
  const api::ResponseHeader header{facts_->cluster_id, facts_->node, cursor->revision(), view.term};
  const api::RangeResponse response(header, {}, cursor->more(), cursor->count());
  const std::size_t total = response.prefix().size() + cursor->bytes() + response.suffix().size();
  auto next = [cursor, prefix = std::string(response.prefix()),
               suffix = std::string(response.suffix())](std::string& out) mutable {
    out.append(std::exchange(prefix, {}));
    if (cursor->Next(mvcc::kRangeStepBytes, out)) return true;
    out.append(suffix);
    return false;
  };
  replier.Parts(total, std::make_unique<api::MadeParts>(std::move(next), served));
}

void Reads::ServeTxn(const mvcc::ReadView& view, const mvcc::TxnOp& txn, api::Replier& replier,
                     const api::Served& served) {
  mvcc::TxnResult result;
  const mvcc::Error error = store_.ReadTxn(loop_, view, txn, result);
  if (error != mvcc::Error::kNone) return replier.Fail(api::ToStatus(error));
  std::string bytes;
  api::EncodeTxn({facts_->cluster_id, facts_->node, view.revision, view.term}, result, bytes);
  const std::string_view piece = bytes;
  replier.Ok({&piece, 1}, served);
}

}  // namespace coppice::node
