#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loadgen/sim/client.h"
#include "loadgen/sim/durability.h"
#include "loadgen/sim/faults.h"
#include "loadgen/sim/machine.h"
#include "loadgen/sim/plan.h"
#include "loadgen/sim/ports.h"
#include "loadgen/sim/run.h"
#include "loadgen/sim/safety.h"

namespace coppice::sim {

// A cluster, its clients and its faults, from the first start to the verdict. Thread: one.
class World {
 public:
  World(const Plan& plan, const RunOptions& options);
  ~World();

  RunResult Run();

  // For the faults.
  const Plan& plan() const { return plan_; }
  Scheduler& scheduler() { return scheduler_; }
  Network& network() { return network_; }
  Coverage& coverage() { return coverage_; }
  std::size_t machines() const { return machines_.size(); }
  Machine& machine(std::size_t index) { return *machines_[index]; }
  // Starts it again after `pause`, unless it is up by then.
  void StartLater(Machine& machine, Micros pause);
  void Kill(Machine& machine, bool power_loss, Rng& rng);
  // Voters whose log was damaged and who will not come back.
  int lost_voters() const;

 private:
  void OpenTrace();
  void Build();
  void AddMachine(Tier tier, const std::string& name, Machine::Names names);
  void AddClients();
  void RunUntil(Time until);
  bool Settle();
  bool Converged(std::string* why);
  void Heal();
  void DisarmAlarms();
  void AfterTurn(Machine& machine);
  void Ending(Machine& machine);
  void Refused(Machine& machine, const Status& status);
  void Violated(std::string property, std::string what);
  Aftermath Gather();
  void Finish(RunResult& result);
  bool failed() const { return !violations_.empty() || !workload_->Violations().empty(); }

  const Plan plan_;
  const RunOptions options_;
  Scheduler scheduler_;
  Trace trace_;
  Coverage coverage_;
  Network network_;
  Fabric fabric_;
  std::vector<Violation> violations_;
  RaftSafety safety_;
  Durability durability_;
  std::vector<std::unique_ptr<Machine>> machines_;  // voters, learners, proxies
  std::vector<Endpoint> endpoints_;
  std::vector<std::unique_ptr<SimClient>> clients_;  // the last one is the operator's
  std::unique_ptr<Workload> workload_;
  std::unique_ptr<Faults> faults_;
  std::string term_leader_;
  bool healed_ = false;
  std::map<std::string, Index> applied_at_end_;   // of stores, when their process ended
  std::map<std::string, std::string> upstreams_;  // of learners, as last seen
  class Operator;
  std::unique_ptr<Operator> operator_;
};

}  // namespace coppice::sim
