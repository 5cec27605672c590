#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/client/driver.h"
#include "common/client/stubs.h"
#include "common/client/types.h"
#include "common/client/watcher.h"

namespace coppice::client {

struct ClientOptions {
  std::vector<std::string> endpoints{};  // host:port or http://host:port of proxies (or any node)
  Prefer prefer = Prefer::kLeastBusy;
  Micros dial_timeout = 2 * kSecond;
  Micros timeout = 7 * kSecond;          // of a call, all its attempts included
  Micros attempt_timeout = 3 * kSecond;  // CoreOptions says what of
  std::uint32_t unreached_passes_max = 0;
};

// The coppice-* trailers of a reply (docs/consistency.md); "-" where there is none.
struct Served {
  std::string by = "-";
  std::string consistency = "-";
  std::string staleness = "-";
};

struct CallResult {
  Outcome outcome = Outcome::kOk;
  Status status;         // etcd's code and message; OK only with kOk
  bool reached = false;  // an endpoint was connected to
  Served served{};

  bool ok() const { return outcome == Outcome::kOk; }
};

template <typename Reply>
struct Result : CallResult {
  Reply reply{};
};

// A client of Coppice, and of any etcd v3 server: blocking calls and watches over one session.
//
//   client::Client client({.endpoints = {"10.0.2.1:2379", "10.0.2.2:2379"}});
//
//   etcdserverpb::PutRequest put;
//   put.set_key("colour");
//   put.set_value("blue");
//   const auto done = client.Put(put);
//   if (done.outcome == client::Outcome::kUnknown) { ... }  // read, then decide
//
//   etcdserverpb::RangeRequest get;
//   get.set_key("colour");
//   // From whatever replica is at hand, and yet it has the put: the session's revision goes along.
//   const auto found = client.Range(get, {.mode = ReadMode::kSerializable});
//
//   etcdserverpb::WatchCreateRequest create;
//   create.set_key("colour");
//   const auto watcher = client.Watch(create);
//   etcdserverpb::WatchResponse response;
//   while (watcher->Next(response)) { ... }
//
// Reads are tried again elsewhere until they are answered or out of time. A mutation is sent again
// only when it was certainly not done. Endpoint choice, pauses and the session are core.h's.
//
// Thread: any; each call blocks its caller. Outlives its watchers. TLS and authentication: none
// yet.
class Client {
 public:
  explicit Client(const ClientOptions& options);

  Result<etcdserverpb::RangeResponse> Range(const etcdserverpb::RangeRequest& request,
                                            const CallOptions& options = {});
  Result<etcdserverpb::PutResponse> Put(const etcdserverpb::PutRequest& request,
                                        const CallOptions& options = {});
  Result<etcdserverpb::DeleteRangeResponse> DeleteRange(
      const etcdserverpb::DeleteRangeRequest& request, const CallOptions& options = {});
  // A read, if there is nothing but Range in it.
  Result<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request,
                                        const CallOptions& options = {});
  Result<etcdserverpb::CompactionResponse> Compact(const etcdserverpb::CompactionRequest& request,
                                                   const CallOptions& options = {});
  std::unique_ptr<Watcher> Watch(const etcdserverpb::WatchCreateRequest& create,
                                 const CallOptions& options = {});

  // Any other unary call: `call` is (const Stubs&, grpc::ClientContext&, Reply&) -> grpc::Status,
  // and runs once for each attempt.
  template <typename Reply, typename Fn>
  Result<Reply> Call(Kind kind, const CallOptions& options, Fn&& call) {
    Result<Reply> result;
    static_cast<CallResult&>(result) =
        Run(kind, options, [&](const Stubs& stubs, grpc::ClientContext& context, ReplyHeader& out) {
          result.reply.Clear();
          grpc::Status status = call(stubs, context, result.reply);
          if constexpr (requires { result.reply.header().revision(); }) {
            out = {result.reply.header().cluster_id(), result.reply.header().revision()};
          }
          return status;
        });
    return result;
  }

  // The highest revision seen, which each call carries.
  SessionRevision session() { return driver_.session(); }
  std::vector<std::string> endpoints() const;

 private:
  using Attempt =
      std::function<grpc::Status(const Stubs&, grpc::ClientContext&, ReplyHeader& header)>;
  CallResult Run(Kind kind, const CallOptions& options, const Attempt& attempt);
  void RunAttempt(const Send& send, Mailbox& mailbox, const Attempt& attempt, CallResult& result);

  const ClientOptions options_;
  Driver driver_;
};

}  // namespace coppice::client
