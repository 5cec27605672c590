#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/entry.h"
#include "common/base/status.h"
#include "common/mvcc/ops.h"
#include "common/mvcc/testing/model.h"

namespace coppice::loadgen {

// What must be: the state at every revision, replayed from a committed log by the reference model,
// which shares no code with the store. Nothing is forgotten at a compaction.
//
// A mutation is found in the log by its tag: the first row of digits and dots between two kTagMark
// characters in its encoded command. Workloads put one, never used twice, into each mutation's own
// key, range end or value, and never into a key that they name before it.
class Oracle {
 public:
  static constexpr char kTagMark = '@';

  struct Mutation {
    Index index;
    Revision before = 0;  // the store's revision before it and after it
    Revision after = 0;
    mvcc::CommandResult result;
    bool is_compaction = false;
    bool changed() const { return after > before; }
  };
  struct Compaction {
    Index index;
    Revision revision = 0;
  };

  Oracle();
  // The whole log from index 1 on. DataLoss: it has a gap, or a command that cannot be read.
  static StatusOr<Oracle> Replay(const std::vector<EntryPtr>& log);
  Status Apply(const Entry& entry);

  Revision revision() const { return model_.revision(); }
  const mvcc::testing::Model& model() const { return model_; }
  const std::vector<Mutation>& mutations() const { return mutations_; }
  // Places in mutations() with this tag; more than one: it was executed twice.
  const std::vector<std::size_t>& Tagged(std::string_view tag) const;
  // Ascending by both index and revision; those that were refused are left out.
  const std::vector<Compaction>& compactions() const { return compactions_; }
  Revision compact_revision() const { return model_.compact_revision(); }
  // Of the log: hash of the state's keys and records at the newest revision, as HashKV's.
  std::uint32_t Hash(Revision revision) const;

  static std::string_view TagOf(std::string_view command);  // empty: none

 private:
  mvcc::testing::Model model_;
  std::vector<Mutation> mutations_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> tagged_;
  std::vector<Compaction> compactions_;
  Index last_;
};

}  // namespace coppice::loadgen
