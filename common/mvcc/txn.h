#pragma once

#include <functional>
#include <vector>

#include "common/mvcc/reader.h"

namespace coppice::mvcc {

// What a transaction writes through; the apply path's. state() includes what was written.
class TxnWriter {
 public:
  virtual ~TxnWriter() = default;
  virtual ReadState state() const = 0;
  virtual void Put(const PutOp& op, PutResult& out) = 0;
  virtual void Delete(const DeleteOp& op, DeleteResult& out) = 0;
};

// Refuses what cannot be applied in full.
Error CheckPut(const ReadState& state, const PutOp& op);

// etcd's Txn (server/etcdserver/txn/txn.go): all compares, those of nested transactions included,
// and all checks are made against the state before; after that nothing can fail.
class TxnRun {
 public:
  TxnRun(const ReadState& before, const TxnOp& txn) : before_(before), txn_(txn) {}

  // Chooses the branches and checks them.
  Error Prepare();
  // `writer` is null for a read-only transaction.
  void Execute(TxnWriter* writer, TxnResult& out);

 private:
  void Choose(const TxnOp& txn);
  Error Check(const TxnOp& txn);
  void Run(const TxnOp& txn, TxnWriter* writer, TxnResult& out);
  OpResult RunOp(const Op& op, TxnWriter* writer);
  const std::vector<Op>& NextBranch(const TxnOp& txn, bool& succeeded);

  const ReadState before_;
  const TxnOp& txn_;
  std::vector<bool> path_;  // of each transaction met, in order of its place: did it succeed
  std::size_t next_ = 0;
};

}  // namespace coppice::mvcc
