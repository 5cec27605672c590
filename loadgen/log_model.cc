#include "loadgen/log_model.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "loadgen/key_space.h"
#include "loadgen/oracle.h"

namespace coppice::loadgen {
namespace {

// Histories keep of a value what makes it unique; values of others are as they are.
std::string NameOf(const mvcc::testing::Kv& kv) {
  const std::string_view id = Values::IdOf(kv.value, kv.key);
  return id.empty() ? kv.value : std::string(id);
}

}  // namespace

StatusOr<LogModel> LogModel::Replay(const SurvivingLog& log, Revision needed) {
  LogModel model;
  Oracle oracle;
  LogSummary& summary = model.summary_;
  summary.entries = log.entries.size();
  summary.commit = log.commit;
  for (const EntryPtr& entry : log.entries) {
    const bool known = entry->index() <= log.commit;
    if (!known && oracle.revision() >= needed) break;
    COPPICE_RETURN_IF_ERROR(oracle.Apply(*entry));
    ++summary.counted;
    summary.past_commit += known ? 0 : 1;
  }
  summary.revision = oracle.revision();
  for (Revision revision = 2; revision <= summary.revision; ++revision) {
    for (const auto& change : oracle.model().At(revision)) {
      const std::size_t place = model.changes_.size();
      Change& kept = model.changes_.emplace_back();
      kept.revision = revision;
      kept.key = change.kv.key;
      if (change.kv.version > 0) kept.value = NameOf(change.kv);
      model.by_key_[kept.key].push_back(place);
      if (kept.value) model.by_value_.emplace(*kept.value, place);
    }
  }
  return model;
}

const LogModel::Change* LogModel::StateAt(std::string_view key, Revision revision) const {
  const auto places = by_key_.find(key);
  if (places == by_key_.end()) return nullptr;
  const auto after =
      std::partition_point(places->second.begin(), places->second.end(),
                           [&](std::size_t place) { return changes_[place].revision <= revision; });
  return after == places->second.begin() ? nullptr : &changes_[*std::prev(after)];
}

const LogModel::Change* LogModel::ChangeAt(std::string_view key, Revision revision) const {
  const Change* change = StateAt(key, revision);
  return change != nullptr && change->revision == revision ? change : nullptr;
}

std::vector<Revision> LogModel::PutsOf(std::string_view key, std::string_view value) const {
  std::vector<Revision> revisions;
  const auto [begin, end] = by_value_.equal_range(std::string(value));
  for (auto at = begin; at != end; ++at) {
    if (changes_[at->second].key == key) revisions.push_back(changes_[at->second].revision);
  }
  std::sort(revisions.begin(), revisions.end());
  return revisions;
}

}  // namespace coppice::loadgen
