#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "common/api/watch_request.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/mvcc/watch_source.h"

namespace coppice::api {

// The ResponseHeader of watch responses, encoded once for all streams of a loop while revision and
// term stay the same.
class WatchHeader {
 public:
  WatchHeader(std::uint64_t cluster_id, std::uint64_t member_id)
      : cluster_id_(cluster_id), member_id_(member_id) {}
  void SetTerm(std::uint64_t term);
  // The framed header field. Valid until the next call.
  std::string_view Encode(Revision revision);

 private:
  const std::uint64_t cluster_id_;
  const std::uint64_t member_id_;
  std::uint64_t term_ = 0;
  Revision revision_ = -1;
  std::string bytes_;
};

// Where a session's responses go.
class WatchOut {
 public:
  virtual ~WatchOut() = default;
  virtual void Write(std::span<const std::string_view> pieces) = 0;  // one message, copied
  virtual std::size_t unsent_bytes() const = 0;
  virtual void WantPoll() = 0;  // call Poll before the turn ends
};

struct WatchSessionOptions {
  std::size_t response_bytes_max = (3U << 19) + (512U << 10);  // beyond this `fragment` splits
  std::size_t unsent_bytes_max = 256U << 10;                   // then its watchers fall behind
  std::size_t requests_max = 100'000;                          // that wait for an answer
  std::size_t answers_unread_max = 10'000;                     // of a client that does not read
  Micros progress_interval = 600 * kSecond;  // of progress_notify; up to a tenth is added
  Revision min_revision = 0;                 // coppice-min-revision
  std::uint64_t seed = 0;                    // of the jitter
};

// One Watch stream of a client: requests in, response bytes out, as etcd's
// server/etcdserver/api/v3rpc/watch.go answers them (ids, order, reasons), over any WatchSource.
//
// Pure. Thread: its loop. The source must outlive it.
//
// Each create is admitted first (an effect: the driver does the read round that the stream's
// consistency asks for, and checks the permission); admissions run side by side, while answers go
// out in the order of the requests, as clients match `created` to their requests by order.
//
// Invariants: header.revision never goes back on the stream; a progress response promises only what
// was delivered before it; created.header.revision is start - 1 if start_revision was 0.
class WatchSession final : public mvcc::WatchSink {
 public:
  struct Admission {
    std::uint64_t ticket = 0;
    mvcc::KeyRange range{};
  };

  WatchSession(const WatchSessionOptions& options, mvcc::WatchSource& source, WatchHeader& header,
               WatchOut& out, Time now);
  ~WatchSession() override;
  WatchSession(const WatchSession&) = delete;
  WatchSession& operator=(const WatchSession&) = delete;

  // --- Inputs. After each, take the effects.
  void OnMessage(Time now, std::string_view message);
  // The answer to an Admission: the revision of the read round (0 if none was asked), or why not.
  void OnAdmitted(Time now, std::uint64_t ticket, const Status& status, Revision revision);
  void OnDrained(Time now);  // unsent_bytes is low again
  void Poll(Time now);       // asked for by WantPoll, or NextDeadline passed

  // --- Effects.
  std::vector<Admission> TakeAdmissions();
  // Set once the stream must end.
  const std::optional<Status>& finish() const { return finish_; }
  Time NextDeadline() const;

  std::size_t watchers() const { return watchers_.size(); }

  // --- WatchSink
  void OnReady(mvcc::Watcher& watcher) override;
  void OnOpened(mvcc::Watcher& watcher, Revision at) override;
  void OnEvents(mvcc::Watcher& watcher, const mvcc::EncodedEventsPtr& events) override;
  void OnCanceled(mvcc::Watcher& watcher, Revision compact_revision,
                  std::string_view reason) override;

 private:
  // A create that is not answered, or a cancel that came behind one.
  struct Pending {
    WatchRequest request{};
    std::uint64_t ticket = 0;           // ascending in the queue
    std::string refused{};              // why, if not empty
    mvcc::Watcher* prepared = nullptr;  // once admitted
  };
  struct Response {
    std::int64_t watch_id = 0;
    bool created = false;
    bool canceled = false;
    Revision compact_revision = 0;
    std::string_view cancel_reason{};
  };

  void Create(WatchRequest request);
  void Pump();
  bool Answer(Pending& pending);  // false: not yet
  bool Open(Pending& pending);
  void Cancel(std::int64_t id);
  void Send(Revision revision, const Response& response);
  void SendRefused(std::string_view reason);
  void SendFragments(const std::array<std::string_view, 2>& head,
                     const mvcc::EncodedEvents& events);
  void Forget(mvcc::Watcher& watcher);
  void TryStreamProgress();
  void TryWatcherProgress();
  void OnProgressTick();
  void ScheduleProgress();
  void CheckUnsent();
  bool TooManyPending();  // finishes the stream if so
  Revision Raise(Revision revision);
  Revision AnyRevision() const;

  const WatchSessionOptions options_;
  mvcc::WatchSource& source_;
  WatchHeader& header_;
  WatchOut& out_;
  Rng rng_;
  Time now_;
  absl::btree_map<std::int64_t, mvcc::Watcher*> watchers_;
  std::deque<Pending> pending_;
  std::vector<Admission> admissions_;
  std::optional<Status> finish_;
  std::uint64_t tickets_ = 0;
  std::size_t answers_unread_ = 0;  // written since the client's window was full
  std::int64_t next_id_ = 0;
  std::size_t notified_ = 0;                // watchers with progress_notify
  std::size_t due_ = 0;                     // of those, whose progress waits to be sent
  const mvcc::Watcher* laggard_ = nullptr;  // who held stream progress back last; may be null
  bool progress_asked_ = false;
  Time progress_at_ = kNever;
};

}  // namespace coppice::api
