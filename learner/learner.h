#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/node/store_tier.h"
#include "common/node/tuning.h"
#include "common/replica/registry_keeper.h"
#include "learner/identity_file.h"
#include "learner/log_tail.h"

namespace coppice::learner {

struct LearnerOptions {
  node::CommonFlags flags;
  std::string data_dir;
  std::vector<api::Url> listen_peer_urls;
  std::vector<api::Url> advertise_peer_urls;
  std::vector<api::Url> upstream;
  Micros ready_max_staleness = 5 * kSecond;
  node::Tuning tuning;
};

// A read learner: tails the committed log of a voter or another learner into a store of its own,
// serves reads and watches from it, and relays the log to learners below.
// Thread: built on main's, then the core loop's.
class Learner {
 public:
  // Opens the data directory, asks the upstreams for the cluster's id if it is new (that blocks),
  // binds the peer addresses. Errors say what is wrong and what to do. `host` and the disk outlive
  // the learner.
  static StatusOr<std::unique_ptr<Learner>> Open(const LearnerOptions& options, node::Host& host,
                                                 node::Storage storage);
  ~Learner();

  // Binds the addresses for clients and metrics.
  Status ListenForClients() { return tier_->ListenForClients(); }
  Status Run();  // until a signal
  // What Run is made of, for an owner that turns the loops itself: begins the work on the core
  // loop; on that loop, ends it in order until every loop is stopped; and then saves what is
  // applied.
  void Start();
  void Shutdown() { tier_->Shutdown(); }
  Status Finish();

  node::Runtime& runtime() { return runtime_; }
  node::StoreTier& tier() { return *tier_; }
  const LogTail& tail() const { return *tail_; }

 private:
  Learner(const LearnerOptions& options, node::Host& host, node::Storage storage);
  Status Init();
  Status FindIdentity();
  StatusOr<std::unique_ptr<mvcc::Store>> OpenStore();
  void Wire(std::unique_ptr<mvcc::Store> store);
  void WireTail();
  void WireCore();
  replica::Registration Own() const;
  void TellCandidates();
  void Tick();

  const LearnerOptions options_;
  const node::Storage storage_;
  node::Runtime runtime_;
  std::unique_ptr<io::File> lock_;
  Identity identity_;
  std::string local_host_ =
      "127.0.0.1";  // by which the upstream is reached; a wildcard is told as it
  std::uint64_t boot_nonce_ = 0;
  std::int64_t boot_time_ = 0;
  std::unique_ptr<node::StoreTier> tier_;
  std::unique_ptr<LogTail> tail_;
  std::unique_ptr<replica::RegistryRenewer> renewer_;
  bool said_ready_ = false;
  bool snapshot_needed_ = false;
};

}  // namespace coppice::learner
