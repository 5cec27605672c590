#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/api/node.h"
#include "common/api/urls.h"
#include "common/base/metrics.h"
#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "proxy/coalescer.h"
#include "proxy/pool.h"

namespace coppice::proxy {

// What watches need of a loop's connections (watches.h).
class WatchEvents {
 public:
  virtual ~WatchEvents() = default;
  virtual void OnWatchFrame(std::uint64_t connection, const io::Frame& frame) = 0;
  virtual void OnConnectionLost(std::uint64_t connection) = 0;
  virtual void OnConnectionStale(std::uint64_t connection) = 0;
  virtual void OnConnectionFresh(std::uint64_t connection) = 0;
};

// What one loop of a proxy does with requests: gathers those of a turn, lets identical reads share,
// sends each where the router says, and gives the answers back.
//
// A read whose backend is lost or says Unavailable is sent elsewhere; a mutation only when it was
// certainly not done (NotProposed): otherwise its client hears that the outcome is unknown. What
// finds no backend waits for one until its deadline, so that neither a dying learner nor a change
// of leader is an error while there is time. Thread: its loop's.
class ProxyNode final : public api::Node, private Pool::Owner, private io::TurnTask {
 public:
  struct Options {
    Pool::Options pool;
    std::uint64_t seed = 0;
    metrics::Registry* metrics = nullptr;  // null: nothing is counted
    Coalescer::Options coalescer;
  };

  ProxyNode(io::Loop& loop, io::Transport& transport, const Options& options);
  ~ProxyNode() override;

  void Start() { pool_.Start(); }
  void Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) override;

  void SetWatches(WatchEvents* watches) { watches_ = watches; }
  // Hears of every change of backends, their states and the registry, within the turn it came in.
  void SetOnChange(std::function<void()> on_change) { on_change_ = std::move(on_change); }
  // Another cluster is at the upstreams' addresses (Pool::Owner::OnReplaced).
  void SetOnReplaced(std::function<void(std::uint64_t cluster_id)> on_replaced) {
    on_replaced_ = std::move(on_replaced);
  }
  // As the watches last heard: reads of different auth revisions are not shared.
  void SetAuthRevision(std::uint64_t revision) { auth_revision_ = revision; }

  Pool& pool() { return pool_; }
  const Pool& pool() const { return pool_; }
  bool ready() const { return pool_.router().usable() > 0; }
  std::size_t waiting() const { return coalescer_.requests(); }

 private:
  class GroupReplier;
  // What became of a group so far; by the group's slot.
  struct Trip {
    std::uint32_t generation = 0;
    bool may_repeat = false;
    bool hurried = false;  // asked for a leader: is not kept waiting for one
    int tries = 0;
    Want want;
    BackendId sent_to = 0;           // last
    std::optional<BackendId> avoid;  // it could not do it
    Time parked_at = 0;              // since when nobody was found for it; 0 = it was sent
  };
  struct Parked {
    GroupId id;
    Time not_before = 0;
  };
  // An answer in parts that is wanted whole.
  struct Gathering {
    GroupId id;
    std::unique_ptr<api::PartSource> source;
    std::string bytes;
  };
  struct Counters {
    metrics::Counter* coalesced = nullptr;
    metrics::Counter* retried = nullptr;
    metrics::Counter* unknown = nullptr;
  };

  void OnTurn(Time now) override;
  void OnChange() override;
  void OnLost(std::vector<node::Unanswered> left) override;
  void OnNotProposed(node::Unanswered request) override;
  bool MayRepeat(const api::Replier& replier) const override;
  void OnRegistry() override { OnChange(); }
  void OnReplaced(std::uint64_t cluster_id) override;
  void OnWatchFrame(std::uint64_t connection, const io::Frame& frame) override;
  void OnConnectionLost(std::uint64_t connection) override;
  void OnConnectionStale(std::uint64_t connection) override;
  void OnConnectionFresh(std::uint64_t connection) override;

  void Answered(GroupId id, std::span<const std::string_view> pieces, const api::Served& served);
  void AnsweredInParts(GroupId id, std::uint64_t total, std::unique_ptr<api::PartSource> source);
  void Gather(std::list<Gathering>::iterator it);
  void Refused(GroupId id, const Status& status, bool not_proposed);
  bool TryElsewhere(GroupId id, Trip& trip, const Status& status);
  void Route(GroupId id, Time now);
  void Park(GroupId id, Time not_before);
  void RouteParked(Time now);
  void Expire(Time now);
  void ArmTimer(Time now);
  Trip& TripOf(GroupId id) { return trips_[id.slot]; }
  const Trip& TripOf(GroupId id) const { return trips_[id.slot]; }
  void BeginTrip(GroupId id, const api::Request& request, bool read, bool retry_safe);
  void Count(metrics::Counter* counter);

  io::Loop& loop_;
  WatchEvents* watches_ = nullptr;
  std::function<void()> on_change_;
  std::function<void(std::uint64_t)> on_replaced_;
  std::uint64_t auth_revision_ = 0;
  Counters counters_;
  Coalescer coalescer_;
  std::vector<Trip> trips_;
  std::vector<GroupId> to_send_;
  std::vector<Parked> parked_;
  std::list<Gathering> gathering_;
  bool changed_ = false;  // parked requests may have somewhere to go
  bool closing_ = false;
  Time expire_at_ = 0;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
  Pool pool_;  // last: its end answers what is outstanding
};

}  // namespace coppice::proxy
