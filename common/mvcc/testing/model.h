#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/mvcc/ops.h"
#include "common/mvcc/testing/kv.h"

namespace coppice::mvcc::testing {

// What the store must do, written for obviousness: every version of every key in a list, every
// answer by looking at all of them. Results are comparable with the store's by Describe.
class Model {
 public:
  struct Change {
    Kv kv;  // a tombstone has version 0
    std::optional<Kv> prev;
  };

  CommandResult Apply(const Command& command);
  Error Range(const RangeOp& op, RangeResult& out) const { return Read(op, revision_, out); }
  // As a node whose newest revision was `current` answers it, had it compacted nothing. Requires
  // current <= revision() and op.revision <= current.
  struct Answer {
    std::vector<Kv> kvs;
    std::int64_t count = 0;
    bool more = false;
    bool operator==(const Answer&) const = default;
  };
  Answer RangeAt(const RangeOp& op, Revision current) const;
  std::optional<Kv> GetAt(const std::string& key, Revision revision) const {
    return Find(key, revision);
  }
  // A transaction that only reads, in the state at `current`.
  TxnResult ReadTxnAt(const TxnOp& txn, Revision current) const;
  // What changed at `revision`.
  const std::vector<Change>& At(Revision revision) const {
    return changes_.at(static_cast<std::size_t>(revision - 2));
  }
  Revision revision() const { return revision_; }
  Revision compact_revision() const { return compact_ < 0 ? 0 : compact_; }

 private:
  Error Run(const PutOp& op, CommandResult& out);
  Error Run(const DeleteOp& op, CommandResult& out);
  Error Run(const TxnOp& op, CommandResult& out);
  Error Run(const CompactOp& op, CommandResult& out);
  Error Run(const AlarmOp& op, CommandResult& out);
  bool Refused(const Command& command, Error& error) const;

  static std::optional<Kv> Newest(const std::vector<Kv>& versions, Revision revision);
  std::optional<Kv> Find(const std::string& key, Revision revision) const;
  std::vector<Kv> List(const KeyRange& range, Revision revision) const;
  Error Read(const RangeOp& op, Revision current, RangeResult& out) const;
  bool Holds(const Compare& compare, Revision revision) const;
  const std::vector<Op>& Branch(const TxnOp& txn, Revision revision, bool& succeeded) const;
  Error CheckPut(const PutOp& op) const;
  Error Check(const TxnOp& txn) const;
  void Execute(const TxnOp& txn, TxnResult& out);
  PutResult Put(const PutOp& op);
  DeleteResult Delete(const DeleteOp& op);
  void Add(const Kv& kv);
  Revision now() const { return revision_ + (running_.empty() ? 0 : 1); }

  std::map<std::string, std::vector<Kv>> versions_;
  std::vector<std::vector<Change>> changes_;  // of revision 2, 3, ...
  std::vector<Change> running_;
  Revision revision_ = 1;
  Revision compact_ = -1;
  std::map<std::pair<int, NodeId>, bool> alarms_;
};

// All that a client can see of a result.
std::string Describe(const CommandResult& result);
std::string Describe(const RangeResult& result);

}  // namespace coppice::mvcc::testing
