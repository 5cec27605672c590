#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "common/api/node.h"
#include "common/base/time.h"
#include "common/io/loop.h"
#include "common/mvcc/ops.h"
#include "common/mvcc/store.h"
#include "common/node/ports.h"
#include "common/replica/read_queue.h"

namespace coppice::node {

// Answers something that is read from a view but is no Range or Txn (a member list, a hash).
using Question = std::function<void(const mvcc::ReadView& view, api::Replier& replier,
                                    const api::Served& served)>;
using ReadBody = std::variant<mvcc::RangeOp, mvcc::TxnOp, Question>;

// An io loop's reads: admitted at the end of the turn they arrived in, by a clock read after their
// bytes were, served from one view, or queued for a read round (replica/read_queue.h).
// Thread: its io loop's.
class Reads {
 public:
  Reads(int loop, mvcc::Store& store, CorePort& core, std::uint64_t cluster_id);
  ~Reads();

  void SetFacts(FactsPtr facts) { facts_ = std::move(facts); }
  void Add(const api::Request& request, Revision revision, ReadBody body,
           std::unique_ptr<api::Replier> replier);
  // End of a turn.
  void OnTurn(Time now);
  void ServeAsked(Time now, int slot);
  void ViewPublished(Time now);
  Time NextDeadline() const { return queue_.NextDeadline(); }
  bool idle() const { return arrived_.empty() && queue_.empty(); }
  std::uint64_t served() const { return served_; }

 private:
  struct Pending;

  void Note(const Pending& read);
  void Warm(const mvcc::ReadView& view);
  void Answer(Time now, replica::ReadNode& node, replica::ReadVerdict verdict);
  void Serve(Time now, Pending& read);
  void ServeRange(const mvcc::ReadView& view, const mvcc::RangeOp& op, api::Replier& replier,
                  const api::Served& served);
  void ServeCursor(const mvcc::ReadView& view, const mvcc::RangeOp& op, api::Replier& replier,
                   const api::Served& served);
  void ServeTxn(const mvcc::ReadView& view, const mvcc::TxnOp& txn, api::Replier& replier,
                const api::Served& served);
  replica::ViewFacts FactsOf(const mvcc::ReadView& view) const;

  const int loop_;
  mvcc::Store& store_;
  CorePort& core_;
  FactsPtr facts_;
  replica::ReadQueue queue_;
  std::vector<std::unique_ptr<Pending>> arrived_;
  std::vector<std::string_view> warm_;  // keys of reads about to be served
  mvcc::RangeResult result_;            // reused, so that a steady read allocates nothing
  std::uint64_t served_ = 0;
};

}  // namespace coppice::node
