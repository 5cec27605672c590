#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "common/api/watch_session.h"
#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/io/loop.h"
#include "common/mvcc/key_range.h"
#include "common/mvcc/watch_source.h"
#include "common/rpc/server.h"

namespace coppice::api {

// What a tier does before a watch is created: the read round that its consistency asks for, and the
// permission check. At voters and learners the read gate; at proxies a Range that counts the same
// keys, whose header.revision is the answer.
class WatchAdmitter {
 public:
  using Done = std::function<void(const Status& status, Revision revision)>;
  virtual ~WatchAdmitter() = default;
  // `done` runs once, on this loop, from within or later; holding it past the stream is harmless.
  // The watch opens at `revision` (0: wherever the source is) or later. An Unavailable or similar
  // status ends the stream, so that clients retry; others (PermissionDenied, OutOfRange,
  // FailedPrecondition) refuse this one watch with the message as cancel_reason.
  virtual void Admit(const mvcc::KeyRange& range, const Consistency& consistency,
                     std::string_view token, Done done) = 0;
  // A round was confirmed within 3 election timeouts: for streams with `hasleader`.
  virtual bool HasLeader() const = 0;
};

struct WatchEdgeOptions {
  std::uint64_t cluster_id = 0;
  std::uint64_t member_id = 0;
  std::vector<Consistency> listener_defaults{};  // by rpc::Call::listener(); missing: linearizable
  Micros progress_interval = 600 * kSecond;      // --watch-progress-notify-interval
  std::size_t response_bytes_max = (3U << 19) + (512U << 10);
  // A client changed something: step the source before this turn ends. Not called from Poll.
  std::function<void()> wake_source{};
};

// etcdserverpb.Watch/Watch on one loop: joins each call to a WatchSession. Outlives the server;
// the source and the admitter outlive it. Thread: the loop's.
//
// The driver, each turn in which the source stepped: edge.Poll(now), and then the source's effects
// once more (mux.Poll, hub.PollHistory), as watchers may have opened. When freshness was lost:
// edge.CutLeaderless(). A timer of its own covers progress_notify.
class WatchEdge final : public rpc::CallHandler {
 public:
  WatchEdge(io::Loop& loop, mvcc::WatchSource& source, WatchAdmitter& admitter,
            WatchEdgeOptions options);
  ~WatchEdge() override;
  WatchEdge(const WatchEdge&) = delete;
  WatchEdge& operator=(const WatchEdge&) = delete;

  void OnStart(rpc::Call& call) override;
  void OnMessage(rpc::Call& call, std::string_view message) override;
  void OnDrained(rpc::Call& call) override;
  // Ends the stream as Unavailable, so that its client goes on elsewhere.
  void OnShutdown(rpc::Call& call) override;
  void OnDone(rpc::Call& call) override;

  void SetTerm(std::uint64_t term) { header_.SetTerm(term); }  // raft_term of headers
  // Answers what waited for the source; after each of its steps.
  void Poll(Time now);
  // Ends the streams that asked for a leader ("etcdserver: no leader").
  void CutLeaderless();
  std::size_t streams() const { return streams_.size(); }
  std::size_t watchers() const;

 private:
  class Stream;

  void Drive(Stream& stream);
  void WakeSource();
  void Tick();
  void ArmTimer();
  Status Resolve(const rpc::Call& call, Consistency& out) const;

  io::Loop& loop_;
  mvcc::WatchSource& source_;
  WatchAdmitter& admitter_;
  const WatchEdgeOptions options_;
  WatchHeader header_;
  std::uint64_t next_stream_ = 0;
  struct ByNumber {
    bool operator()(const std::shared_ptr<Stream>& a, const std::shared_ptr<Stream>& b) const;
  };
  std::set<std::shared_ptr<Stream>, ByNumber> streams_;
  std::vector<std::shared_ptr<Stream>> to_poll_;
  io::Loop::TimerId timer_ = 0;
  bool armed_ = false;
};

}  // namespace coppice::api
