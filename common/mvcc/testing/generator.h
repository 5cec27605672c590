#pragma once

#include <string>

#include "common/base/rng.h"
#include "common/mvcc/ops.h"

namespace coppice::mvcc::testing {

// Random commands and reads over few keys, so that they meet.
class Generator {
 public:
  explicit Generator(std::uint64_t seed, std::size_t value_bytes_max)
      : rng_(seed), value_bytes_max_(value_bytes_max) {}

  // `current`, `compacted`: revisions to aim at.
  Command NextCommand(Revision current, Revision compacted);
  RangeOp NextRange(Revision current, Revision compacted);
  Rng& rng() { return rng_; }

 private:
  std::string NextKey();
  std::string NextValue();
  KeyRange NextKeyRange();
  Revision NextRevision(Revision current, Revision compacted);
  PutOp NextPut();
  DeleteOp NextDelete();
  Compare NextCompare(Revision current);
  TxnOp NextTxn(Revision current, Revision compacted, int depth);
  void FillBranch(Revision current, Revision compacted, int depth, std::vector<Op>& ops);

  Rng rng_;
  const std::size_t value_bytes_max_;
};

}  // namespace coppice::mvcc::testing
