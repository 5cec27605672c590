#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/api/urls.h"
#include "common/base/metrics.h"
#include "common/io/transport.h"
#include "common/mvcc/store.h"
#include "common/node/flags.h"
#include "common/node/io_services.h"
#include "common/node/replica_core.h"
#include "common/node/runtime.h"
#include "common/node/tuning.h"
#include "common/rpc/server.h"

namespace coppice::node {

// Everything that a voter and a learner have in common: the loops' services, the replica core, the
// listeners, the facts that io loops answer from, and an orderly end. What differs (Raft, or the
// log tail) is given to the core as hooks. Thread: built on main's before Run; then the core
// loop's.
class StoreTier {
 public:
  struct Options {
    CommonFlags flags;
    std::vector<api::Url> listen_peer_urls;
    io::Hello hello;  // cluster id (0: not known yet), node id, boot nonce, role
    api::Limits limits;
    ReplicaCore::Options core;
    Tuning tuning;
    // Class kRaft connections; null refuses (a learner has none).
    std::function<io::ConnectionHandler*(const io::Hello&)> accept_raft;
  };

  StoreTier(Runtime& runtime, std::unique_ptr<mvcc::Store> store, Options options);
  ~StoreTier();

  // Bind the addresses for other processes, and those for clients and metrics; the error names the
  // one that could not be. Under the simulator no client comes through a socket.
  Status ListenForPeers();
  Status ListenForClients();
  void Start();
  // Tells proxies, drains clients (GOAWAY), then stops the loops. `on_stopping` runs first.
  void Shutdown();
  // After Run: flushes the store.
  Status Close() { return core_.Stop(); }

  ReplicaCore& core() { return core_; }
  io::Transport& transport() { return *core_transport_; }  // of the core loop
  Runtime& runtime() { return runtime_; }
  IoServices& io(int index) { return *ios_[static_cast<std::size_t>(index)]; }
  int io_count() const { return static_cast<int>(ios_.size()); }
  metrics::Registry& metrics() { return metrics_; }

  // Changes the facts and publishes them, together with what the registry holds, if anything
  // differs.
  void UpdateFacts(const std::function<void(Facts&)>& change);
  const Facts& facts() const { return *facts_; }
  // Voters that --initial-cluster names, known even before they register.
  void SetStaticMembers(Members members) { static_members_ = std::move(members); }

  const std::vector<api::ListenUrl>& client_urls() const {
    return options_.flags.listen_client_urls;
  }

 private:
  IoSettings Settings();
  io::Transport* ChooseLoop(const io::Hello& hello);
  void FillMembers(Facts& facts) const;
  std::string NotReady() const;
  void AddGauges();

  Runtime& runtime_;
  std::unique_ptr<mvcc::Store> store_;
  Options options_;
  metrics::Registry metrics_;
  ReplicaCore core_;
  const std::unique_ptr<io::Transport> core_transport_;
  const std::unique_ptr<io::Listener> peer_listener_;
  FactsPtr facts_ = std::make_shared<const Facts>();
  Members static_members_;
  std::vector<std::unique_ptr<IoServices>> ios_;
  std::unique_ptr<rpc::Acceptor> acceptor_;
  std::unique_ptr<rpc::Server> metrics_server_;
  std::unique_ptr<rpc::Acceptor> metrics_acceptor_;
  int next_io_ = 0;
  // What the HTTP handlers of all loops look at.
  std::atomic<bool> ready_{false};
  std::atomic<bool> stuck_{false};
  std::atomic<bool> has_leader_{false};
  // What the metrics of all loops' handlers look at.
  std::atomic<bool> is_leader_{false};
  std::atomic<std::uint64_t> term_{0};
};

}  // namespace coppice::node
