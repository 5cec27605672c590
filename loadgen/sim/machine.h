#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "learner/find_cluster.h"
#include "learner/learner.h"
#include "loadgen/sim/disk.h"
#include "loadgen/sim/grpc_server.h"
#include "loadgen/sim/plan.h"
#include "loadgen/sim/ports.h"
#include "loadgen/sim/process.h"
#include "proxy/proxy.h"
#include "voter/first_start.h"
#include "voter/voter.h"

namespace coppice::sim {

constexpr std::uint16_t kPeerPort = 2380;
constexpr std::uint16_t kClientPort = 2379;

// A machine of the cluster with what outlives a process: its clock, its disk, its place in the
// network; and the process that runs on it, if one does: the production's Voter, Learner or Proxy,
// wired to this machine. Thread: the world's.
class Machine {
 public:
  struct Hooks {
    std::function<void(Machine&)> after_turn;
    // The process has ended by itself (an I/O error, or SIGTERM); it is gone by now.
    std::function<void(Machine&)> ended;
    // It does not start.
    std::function<void(Machine&, const Status&)> refused;
    // It is about to be destroyed: the last look at it.
    std::function<void(Machine&)> ending;
  };
  struct Names {
    std::vector<std::string> voters;
    std::string upstream;  // a learner's: one host, or empty: the voters
  };

  Machine(Fabric& fabric, const Plan& plan, Tier tier, std::string name, HostId host, Names names,
          Hooks hooks);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  const std::string& name() const { return name_; }
  Tier tier() const { return tier_; }
  HostId host() const { return host_; }
  bool up() const { return process_ != nullptr; }

  void Start();
  // Ends the process without a word. `power_loss`: what the disk was not told to keep is lost or
  // torn. Otherwise files are as the process left them, and only the state store falls back to its
  // last flush.
  void Kill(bool power_loss, Rng& rng);
  void Stop();  // SIGTERM
  void Pause(Micros time);
  void Wipe();  // a new, empty disk; while down

  MachineClock& clock() { return clock_; }
  SimDisk& disk() { return disk_; }
  // What writing to the state store returns, unless it is OK.
  void SetStoreFailure(const Status& status);
  Process* process() { return process_.get(); }
  voter::Voter* voter() { return voter_.get(); }
  learner::Learner* learner() { return learner_.get(); }
  proxy::Proxy* proxy() { return proxy_.get(); }
  node::StoreTier* tier_of_store();  // null: a proxy, or not started
  std::uint64_t starts() const { return starts_; }
  // Its log or identity was damaged on purpose: it may refuse to start.
  bool damaged = false;
  // A voter that has taken part, and lost its disk: it must not take part again.
  bool amnesiac = false;

 private:
  void Begin();
  void StartVoter();
  void OpenVoter();
  voter::VoterOptions OptionsOfVoter() const;
  void StartLearner();
  void OpenLearner(std::uint64_t cluster_id);
  void StartProxy();
  void OpenPort();
  node::Storage StorageOf();
  StatusOr<std::unique_ptr<mvcc::KvBackend>> OpenStore();
  node::CommonFlags Flags() const;
  void Refuse(const Status& status);
  void Ended();
  void Destroy();

  Fabric& fabric_;
  const Plan& plan_;
  const Tier tier_;
  const std::string name_;
  const HostId host_;
  const Names names_;
  const Hooks hooks_;
  MachineClock clock_;
  SimDisk disk_;
  std::shared_ptr<mvcc::MemoryDisk> rows_ = std::make_shared<mvcc::MemoryDisk>();
  std::string rocksdb_;  // a real directory, if this seed runs the real RocksDB
  Status store_failure_;
  std::uint64_t starts_ = 0;
  bool powered_ = true;

  std::unique_ptr<Process> process_;
  std::unique_ptr<io::Loop> find_loop_;
  std::unique_ptr<learner::ClusterFinder> finder_;
  std::unique_ptr<voter::FirstStart> first_start_;
  std::unique_ptr<voter::Voter> voter_;
  std::unique_ptr<learner::Learner> learner_;
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<GrpcPort> port_;
};

}  // namespace coppice::sim
