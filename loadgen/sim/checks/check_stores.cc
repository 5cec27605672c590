#include <fmt/format.h>

#include <algorithm>

#include "loadgen/sim/checks/checks.h"

namespace coppice::sim {
namespace {

void CompareLogs(const VoterLog& log, const VoterLog& other, Findings& findings) {
  const Index from = std::max(log.first, other.first);
  const Index to = std::min(log.first + log.entries.size(), other.first + other.entries.size());
  for (Index index = from; index < to; ++index) {
    const Entry& a = *log.entries[index - log.first];
    const Entry& b = *other.entries[index - other.first];
    if (a.record() == b.record()) continue;
    return findings.Add(
        "U4", 0,
        fmt::format("entry {} is of term {} in the log of {}, of term {} in that "
                    "of {}, or differs",
                    index.value(), a.term().value(), log.name, b.term().value(), other.name));
  }
}

}  // namespace

void CheckStores(const loadgen::Oracle& oracle, const Aftermath& aftermath, Findings& findings) {
  for (std::size_t i = 1; i < aftermath.logs.size(); ++i) {
    CompareLogs(aftermath.logs[0], aftermath.logs[i], findings);
  }
  for (const StoreState& store : aftermath.stores) {
    if (store.revision > oracle.revision()) {
      findings.Add("U4", 0,
                   fmt::format("{} is at revision {}, the log ends at {}", store.name,
                               store.revision, oracle.revision()));
      continue;
    }
    if (store.revision < oracle.revision()) {
      findings.Add("live", 0,
                   fmt::format("{} stayed at revision {} (applied {}) of {}", store.name,
                               store.revision, store.applied.value(), oracle.revision()));
    }
    if (store.revision == oracle.revision() &&
        store.compact_revision != oracle.compact_revision()) {
      findings.Add("U4", 0,
                   fmt::format("{} is compacted at {}, the log's state at {}", store.name,
                               store.compact_revision, oracle.compact_revision()));
    }
    const std::uint32_t expected = oracle.Hash(store.revision);
    if (store.hash == expected) continue;
    findings.Add("U4", 0,
                 fmt::format("{}: the hash at revision {} is {:x}, not the log's {:x}", store.name,
                             store.revision, store.hash, expected));
  }
}

}  // namespace coppice::sim
