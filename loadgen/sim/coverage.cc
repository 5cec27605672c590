#include "loadgen/sim/coverage.h"

#include <algorithm>

#include "common/base/check.h"

namespace coppice::sim {

const std::vector<CoverageLine>& CoverageLines() {
  static const std::vector<CoverageLine> kLines = {
      // Of the world (world.cc, safety.cc, faults.cc, network.cc, transport.cc).
      {"elections", "a voter became leader"},
      {"leader-changes", "another voter became leader"},
      {"leader-changes-with-reads-in-flight", "... while a read round was out"},
      {"processes-killed", "a process was killed"},
      {"processes-stopped-in-order", "a process was told to end"},
      {"processes-paused", "a process stood still"},
      {"power-losses", "a machine lost its power"},
      {"power-losses-that-lost-writes", "... and something on its disk that was not synced"},
      {"crashes-inside-a-disk-operation", "a process ended within a write, a sync or a rename"},
      {"stores-fell-back-to-their-last-flush", "a state store restarted behind where it was"},
      {"stores-in-rocksdb", "a state store was opened in the real RocksDB"},
      {"torn-tails", "a log's torn tail was cut at a start"},
      {"bits-flipped-in-a-log", "a voter's log was damaged"},
      {"damaged-logs-refused", "a voter named the damage and did not start"},
      {"disks-full", "a disk had no space left"},
      {"disk-operations-made-to-fail", "a write, sync or rename returned an error"},
      {"slow-disks", "syncs took long"},
      {"stores-stalled", "a state store took nothing for a while"},
      {"entries-left-in-the-log", "turns of voters with committed entries in their log alone"},
      {"log-syncs-beside-the-loops", "a voter synced its log on the thread for it"},
      {"alarms-disarmed", "the operator cleared a NOSPACE alarm"},
      {"learners-wiped", "a learner lost its data directory"},
      {"voters-wiped", "a voter that had taken part lost its data directory"},
      {"wiped-voters-refused", "... and was told so by another, and did not start"},
      {"partitions", "the hosts fell into two groups"},
      {"one-way-partitions", "a host did not reach another that reached it"},
      {"hosts-isolated", "a host was cut off"},
      {"slow-links", "a host's ways became slow and narrow"},
      {"packets-lost", "a packet had to be sent again"},
      {"connections-reset", "a connection broke"},
      {"half-open-connections-found", "a peer learned late that its peer had lost power"},
      {"clock-jumps", "a clock jumped forward"},
      {"clocks-run-fast-or-slow", "a clock ran at another rate for a while"},
      {"tail-subscriptions", "a learner subscribed to the log"},
      {"tail-behind", "an upstream answered Behind"},
      {"tail-refused", "an upstream refused a subscriber"},
      {"relay-switches", "a learner went to another upstream"},
      {"read-rounds", "ReadIndex rounds between processes"},
      {"read-rounds-refused", "... refused by one that does not lead"},
      {"requests-forwarded", "requests from process to process"},
      {"requests-not-proposed", "a process refused a mutation without doing it"},
      {"watches-shared", "watch subscriptions of proxies"},
      {"watches-upstream-canceled", "a subscription of a proxy was canceled"},
      {"watch-streams-full", "a process held for a watch stream as much as it may"},
      {"registry-changes", "a proxy was sent another registry"},
      {"reads-coalesced-by-a-proxy", "a read shared the upstream read of an identical one"},
      {"requests-retried-by-a-proxy", "a request was sent to another backend"},
      {"outcomes-unknown-to-a-proxy", "a mutation's backend was lost before it answered"},
      // Of the clients (clients/workload.cc).
      {"operations", "requests that succeeded"},
      {"reads-repeated", "a read was sent again after it failed"},
      {"outcomes-unknown", "a mutation whose client does not know whether it was done"},
      {"reads-bounded", "bounded reads answered"},
      {"reads-in-session", "reads with a session revision answered"},
      {"refused-future", "a read of a revision that is not there yet was refused"},
      {"refused-compacted", "a read of a compacted revision was refused"},
      {"watches-resumed", "a watch went on over another stream"},
      {"watches-compacted", "a watch was canceled because of a compaction"},
      {"watch-events", "events that watches saw"},
      {"watch-progress", "progress responses"},
      {"watch-fragments", "responses that said that more of the revision follows"},
      {"slow-readers", "a watch stream that was not read for a while"},
      {"events-beside-a-full-watcher", "events that were due, and came, past one that was full"},
  };
  return kLines;
}

void Coverage::Add(std::string_view name, std::uint64_t count) {
  if (count == 0) return;
  if (const auto at = counts_.find(name); at != counts_.end()) {
    at->second += count;
    return;
  }
  const auto& lines = CoverageLines();
  COPPICE_CHECK(std::any_of(lines.begin(), lines.end(),
                            [name](const CoverageLine& line) { return line.name == name; }),
                "coverage lines are declared in coverage.cc");
  counts_.emplace(name, count);
}

std::uint64_t Coverage::Get(std::string_view name) const {
  const auto at = counts_.find(name);
  return at == counts_.end() ? 0 : at->second;
}

void Coverage::Merge(const Coverage& other) {
  for (const auto& [name, count] : other.counts_) counts_[name] += count;
}

}  // namespace coppice::sim
