#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "loadgen/check.h"
#include "loadgen/history.h"

namespace coppice::loadgen {

// The writes of a history by key and revision: acknowledged ones, and those of unknown outcome that
// a read or a watch has seen. Points into the history, which outlives it.
class WriteModel {
 public:
  // Adds to `report` what is wrong with the writes alone: two with one revision, one that has two
  // revisions, a value that nobody wrote or that was refused.
  WriteModel(const History& history, CheckReport& report);

  using ByRevision = std::map<Revision, const Record*>;
  // Of one key; empty if it was never written.
  const ByRevision& Of(std::string_view key) const;
  const std::map<std::string_view, ByRevision>& keys() const { return keys_; }
  // Null: nobody wrote it.
  const Record* Find(std::string_view value) const;

 private:
  void AddPuts(const History& history, CheckReport& report);
  void Resolve(const Record& seen, CheckReport& report);

  std::map<std::string_view, ByRevision> keys_;
  std::unordered_map<std::string_view, const Record*> by_value_;
  std::unordered_map<const Record*, Revision> revisions_;
};

// The revision-order checker (docs/consistency.md): each response is held against the
// state at its own revision, and its revision against what was acknowledged before. O(n log n).
void CheckRevisions(const History& history, const WriteModel& model, CheckReport& report);

}  // namespace coppice::loadgen
