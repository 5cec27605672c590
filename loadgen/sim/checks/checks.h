#pragma once

#include <vector>

#include "loadgen/oracle.h"
#include "loadgen/sim/checks/findings.h"
#include "loadgen/sim/clients/record.h"
#include "loadgen/sim/coverage.h"
#include "loadgen/sim/ports.h"

// The properties of docs/correctness.md, each checked over a whole run against the oracle, which is
// replayed from a surviving voter's log. A violation is named by its property's letter.
namespace coppice::sim {

// So long after everything was healed nothing that was wrong excuses anything.
constexpr Micros kHealthyAfter = 15 * kSecond;

// Every checker. `coverage`: what they had to look at.
std::vector<Violation> CheckRun(const RunHistory& history, const Aftermath& aftermath,
                                Coverage& coverage);

// What the checkers of operations and watches look at.
struct Evidence {
  const RunHistory& history;
  const loadgen::Oracle& oracle;
  const Acks& acks;         // revisions in any response
  const Acks& compactions;  // acknowledged ones
  // The longest that a process may have taken for a duration D, in true time, is D * this.
  double slowest = 1;
  // How long events may take to a client that reads, in quiet times; 0: not judged.
  Micros delivery_max = 0;

  Micros TrueMax(Micros measured) const {
    return static_cast<Micros>(static_cast<double>(measured) * slowest) + 1;
  }
};

// U1 U2 U5 once, L1 L2, B1 B2 B3, S1 S2, sessions, live; U4 of HashKV.
void CheckOps(const Evidence& evidence, Findings& findings);
// W1 to W13, and what creation promises: L1, B1, B2, sessions.
void CheckWatches(const Evidence& evidence, Findings& findings, Coverage& coverage);
// Each key as a register, by a search that ignores revisions.
void CheckRegisters(const Evidence& evidence, Findings& findings);
// U4: logs, states and hashes of all nodes agree.
void CheckStores(const loadgen::Oracle& oracle, const Aftermath& aftermath, Findings& findings);

}  // namespace coppice::sim
