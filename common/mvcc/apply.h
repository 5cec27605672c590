#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/mvcc/txn.h"

namespace coppice::mvcc {

using AlarmSet = std::set<std::pair<AlarmType, NodeId>>;

// What entries change besides the index.
struct AppliedState {
  Revision revision = 1;
  Revision compact_revision = -1;  // -1: never compacted, as in etcd
  Index applied;
  Term term;
  AlarmSet alarms;
};

// Executes the commands of one batch on the index and gathers what the backend must store. The
// caller then commits or rolls back the index.
// Thread: the writer.
class BatchWriter final : public TxnWriter {
 public:
  BatchWriter(Tree& tree, const KvBackend& backend, const AppliedState& before)
      : tree_(tree), backend_(backend), after_(before) {}

  void Execute(const Command& command, CommandResult& out);
  void Passed(Index index, Term term);  // an entry, of any kind
  void WriteMeta(std::string key, std::string value);

  const AppliedState& after() const { return after_; }
  std::vector<EventBatchPtr>& events() { return events_; }
  // Everything for the backend; call once, at the end.
  std::vector<KvBackend::Write> TakeWrites();

  // TxnWriter:
  ReadState state() const override;
  void Put(const PutOp& op, PutResult& out) override;
  void Delete(const DeleteOp& op, DeleteResult& out) override;

 private:
  Error Refusal(const Command& command) const;
  Error Run(const PutOp& op, CommandResult& out);
  Error Run(const DeleteOp& op, CommandResult& out);
  Error Run(const TxnOp& op, CommandResult& out);
  Error Run(const CompactOp& op, CommandResult& out);
  Error Run(const AlarmOp& op, CommandResult& out);
  RowId NextId() const;
  void Add(RecordPtr record);
  void FinishRevision();

  Tree& tree_;
  const KvBackend& backend_;
  AppliedState after_;
  std::vector<Event> running_;  // of the revision being made
  std::vector<EventBatchPtr> events_;
  std::vector<KvBackend::Write> rows_;
  std::vector<KvBackend::Write> meta_;
};

}  // namespace coppice::mvcc
