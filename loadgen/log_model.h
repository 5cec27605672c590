#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "loadgen/check.h"
#include "loadgen/surviving_log.h"

namespace coppice::loadgen {

// What a log says of each key and value, replayed by the reference model: as histories name values,
// by what makes them unique. Constant after Replay.
class LogModel {
 public:
  struct Change {
    Revision revision = 0;
    std::string key;
    std::optional<std::string> value;  // nothing: the key was deleted
  };

  // The entries that count, which check_log.h explains: up to the saved commit index, and on to the
  // one that makes revision `needed`.
  static StatusOr<LogModel> Replay(const SurvivingLog& log, Revision needed);

  Revision revision() const { return summary_.revision; }
  const LogSummary& summary() const { return summary_; }
  // In order of revision; all that happened.
  const std::vector<Change>& changes() const { return changes_; }
  // The key's last change up to `revision`; null: there was none.
  const Change* StateAt(std::string_view key, Revision revision) const;
  // The change of the key at just this revision, or null.
  const Change* ChangeAt(std::string_view key, Revision revision) const;
  // Where the value was put to the key: more than one place is one too many.
  std::vector<Revision> PutsOf(std::string_view key, std::string_view value) const;

 private:
  std::vector<Change> changes_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> by_key_;  // places in changes_
  std::unordered_multimap<std::string, std::size_t> by_value_;
  LogSummary summary_;
};

}  // namespace coppice::loadgen
