#pragma once

#include <memory>

#include "common/client/driver.h"
#include "common/client/stubs.h"
#include "common/client/types.h"

namespace coppice::client {

// One watch, over as many streams as it takes: events in revision order, each once and without a
// gap, those of one revision together, whatever becomes of connections and servers. Streams ask for
// a leader (`hasleader`), so that one which is cut off hands the watch over.
//
// Thread: Next by one at a time; Cancel by any. The client must outlive it.
class Watcher {
 public:
  Watcher(Driver& driver, const etcdserverpb::WatchCreateRequest& create,
          const CallOptions& options, Micros dial_timeout);
  ~Watcher();  // cancels
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Waits for the next response: first one with created() set, once: every event after its
  // header.revision() will come. Then events; without events, progress: all up to header.revision()
  // has come. False: the watch has ended. `out` has the server's cancel then, if there was one, and
  // status() says why.
  bool Next(etcdserverpb::WatchResponse& out);
  void Cancel();

  const Status& status() const { return status_; }
  // Not 0: what comes next is compacted away. Read the range, and watch from there.
  Revision compact_revision() const { return compact_revision_; }
  bool reached() const { return reached_; }  // an endpoint was connected to

 private:
  using Stream = grpc::ClientReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>;

  // Carries one effect out. True: `out` is what Next returns.
  bool Do(const Effect& effect, etcdserverpb::WatchResponse& out);
  void Open(const Send& send);
  void Close();  // the stream, without a word to the core
  void Read();
  bool Deliver(const WatchDeliver& deliver, etcdserverpb::WatchResponse& out);

  Driver& driver_;
  etcdserverpb::WatchRequest request_;
  const Micros dial_timeout_;
  Mailbox mailbox_;
  bool ended_ = false;
  bool reached_ = false;
  Status status_;
  Revision compact_revision_ = 0;
  // The attempt that runs.
  Send attempt_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
  etcdserverpb::WatchResponse held_;  // the fragments not delivered, with the last response
};

}  // namespace coppice::client
