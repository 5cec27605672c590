#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/api/urls.h"
#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/node/backend.h"
#include "common/replica/registry.h"
#include "proxy/router.h"

namespace coppice::proxy {

// A proxy loop's connections to voters and learners: those of --upstream, and whatever the registry
// lists as soon as it does. Each connection's own reports go to the router. Dials as long as an
// address is wanted; forgets one that is neither configured nor registered once it is down. A node
// that is reached by two addresses has one connection.
// Its cluster is the first that a node names to any of the proxy's loops. Nodes of another one are
// not used, and looked at again from time to time: where nobody of its own is ready any more, and
// most upstreams name the same other cluster, that one has taken the place of the pool's, and the
// owner is told.
// Thread: its loop's.
class Pool final : public node::Backend::Observer {
 public:
  // Who uses the connections. It may call the pool from within.
  class Owner {
   public:
    virtual ~Owner() = default;
    // A backend came, went, or reports something else: what could not be routed may go now.
    virtual void OnChange() = 0;
    virtual void OnLost(std::vector<node::Unanswered> left) = 0;
    virtual void OnNotProposed(node::Unanswered request) = 0;
    // Of a request that was sent: whether another backend may get it too.
    virtual bool MayRepeat(const api::Replier& replier) const = 0;
    virtual void OnRegistry() {}
    // At the upstreams' addresses is another cluster now. The pool stays with its own.
    virtual void OnReplaced(std::uint64_t /*cluster_id*/) {}
    // Watches. `connection` is io::Connection::id().
    virtual void OnWatchFrame(std::uint64_t connection, const io::Frame& frame) = 0;
    virtual void OnConnectionLost(std::uint64_t connection) = 0;
    // At once, and every 100 ms while it is so.
    virtual void OnConnectionStale(std::uint64_t connection) = 0;
    virtual void OnConnectionFresh(std::uint64_t connection) = 0;
  };

  struct Options {
    std::vector<api::Url> upstreams;
    // Without a ready node of its own cluster for so long, it may have been replaced. Nodes of
    // another one are looked at ten times as often.
    Micros replaced_after = 10 * kSecond;
    // The cluster of the proxy's pools, 0 before the first of them has reached it: they agree.
    // Null: this pool is the only one.
    std::atomic<std::uint64_t>* cluster = nullptr;
  };

  Pool(io::Loop& loop, io::Transport& transport, const Options& options, Rng rng, Owner& owner);
  ~Pool() override;

  void Start();

  Router& router() { return router_; }
  const Router& router() const { return router_; }
  // Before a turn's choices; returns the number of requests outstanding.
  std::size_t BeginTurn(Time now);
  void Send(BackendId id, const api::Request& request, std::unique_ptr<api::Replier> replier);
  // Ends what is past its deadline.
  void Expire(Time now);

  // Null if that one is not up.
  io::Connection* ConnectionOf(BackendId id) const;
  io::Connection* FindConnection(std::uint64_t connection) const;
  std::optional<BackendId> FindBackend(std::uint64_t connection) const;

  const replica::Registry& registry() const { return registry_; }
  // Some backend hears of a leader and said so within 3 election timeouts; if it is a learner, one
  // of its read rounds was confirmed within them.
  bool HasLeader() const;
  std::uint64_t cluster_id() const { return cluster_id_; }  // 0 before the first connection
  Term term() const { return term_; }                       // the highest reported
  std::size_t up() const;
  std::size_t known() const { return entries_.size(); }

 private:
  using Address = std::pair<std::string, std::uint16_t>;
  struct Entry {
    BackendId id = 0;
    std::unique_ptr<node::Backend> backend;
    NodeId node;                   // once up
    std::uint64_t connection = 0;  // io::Connection::id(), while up
    bool fresh = false;            // as told to the owner
    bool said_down = false;        // that it cannot be dialed was logged
  };

  void OnUp(node::Backend& backend) override;
  void OnDown(node::Backend& backend, const Status& reason,
              std::vector<node::Unanswered> left) override;
  void OnNotProposed(node::Backend& backend, node::Unanswered request) override;
  void OnAnswered(node::Backend& backend, Micros latency) override;
  void OnFrame(node::Backend& backend, const io::Frame& frame) override;

  void Tick();
  // Dials what is wanted and not there; lets go of what is not wanted and down.
  void Reconcile();
  std::map<Address, NodeId> Wanted() const;
  bool IsUp(NodeId node) const;
  void Open(const Address& address);
  void Retire(const Address& address);
  void TakeRegistry(std::string_view payload);
  void UpdateFreshness();
  void RemindOfStale();
  void GiveUpHung();
  void TurnAway(const Address& address, node::Backend& backend);
  void JoinCluster(std::uint64_t cluster_id);
  void LookForReplacement();
  Entry* Find(const node::Backend& backend);  // null: retired

  struct Foreigner {
    std::uint64_t cluster_id = 0;
    Time seen_at = 0;
  };

  io::Loop& loop_;
  io::Transport& transport_;
  const Micros replaced_after_;
  std::atomic<std::uint64_t>* const cluster_;
  Rng rng_;
  Owner& owner_;
  Router router_;
  std::map<Address, NodeId> upstreams_;  // the node found there; 0 = none yet
  std::map<Address, Entry> entries_;
  std::vector<Entry*> by_id_;                            // null: not in use
  std::vector<std::unique_ptr<node::Backend>> retired_;  // until out of their own callbacks
  replica::Registry registry_;
  std::uint64_t cluster_id_ = 0;
  std::map<Address, Foreigner> foreigners_;  // nodes of other clusters, as last seen
  Time last_up_ = 0;                         // when a node of its own was last ready
  bool said_replaced_ = false;
  Term term_;
  io::Loop::TimerId timer_ = 0;
  Time tick_at_ = 0;
  bool reconcile_ = false;
};

}  // namespace coppice::proxy
