#include "common/client/client.h"

#include <algorithm>

namespace coppice::client {
namespace {

CoreOptions CoreOptionsOf(const ClientOptions& options) {
  CoreOptions out;
  out.endpoints = options.endpoints.size();
  out.prefer = options.prefer;
  out.attempt_timeout = options.attempt_timeout;
  out.unreached_passes_max = options.unreached_passes_max;
  return out;
}

void ReadTrailer(const grpc::ClientContext& context, const char* name, std::string& out) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  if (found != trailers.end()) out.assign(found->second.data(), found->second.size());
}

template <typename Ops>
bool ReadsOnly(const Ops& ops);
bool ReadsOnly(const etcdserverpb::TxnRequest& txn) {
  return ReadsOnly(txn.success()) && ReadsOnly(txn.failure());
}
template <typename Ops>
bool ReadsOnly(const Ops& ops) {
  return std::all_of(ops.begin(), ops.end(), [](const etcdserverpb::RequestOp& op) {
    return op.has_request_range() || (op.has_request_txn() && ReadsOnly(op.request_txn()));
  });
}

}  // namespace

Client::Client(const ClientOptions& options)
    : options_(options), driver_(CoreOptionsOf(options), options.endpoints) {}

std::vector<std::string> Client::endpoints() const {
  return options_.endpoints;
}

CallResult Client::Run(Kind kind, const CallOptions& options, const Attempt& attempt) {
  Mailbox mailbox;
  CallResult result;
  Begin begin;
  begin.kind = kind;
  begin.deadline = Now() + options.timeout.value_or(options_.timeout);
  begin.options = options;
  driver_.Start(begin, mailbox);
  while (true) {
    const Effect effect = driver_.Take(mailbox);
    if (const auto* send = std::get_if<Send>(&effect)) {
      RunAttempt(*send, mailbox, attempt, result);
    } else if (const auto* finish = std::get_if<Finish>(&effect)) {
      result.outcome = finish->outcome;
      result.status = finish->status;
      return result;
    }
  }
}

void Client::RunAttempt(const Send& send, Mailbox& mailbox, const Attempt& attempt,
                        CallResult& result) {
  const Stubs& stubs = driver_.stubs(send.endpoint);
  const Micros left = send.deadline == kNever ? kNever : send.deadline - Now();
  if (!stubs.Connected(std::min(options_.dial_timeout, left))) {
    return driver_.Put(NotConnected(send, stubs));
  }
  result.reached = true;
  grpc::ClientContext context;
  Prepare(send, context);
  ReplyHeader header;
  driver_.SetRunning(mailbox, &context);
  const grpc::Status status = attempt(stubs, context, header);
  driver_.SetRunning(mailbox, nullptr);
  if (!status.ok()) return driver_.Put(FailedBy(send, status, stubs));
  ReadTrailer(context, "coppice-served-by", result.served.by);
  ReadTrailer(context, "coppice-served-consistency", result.served.consistency);
  ReadTrailer(context, "coppice-staleness", result.served.staleness);
  driver_.Put(Answered{send.id, send.attempt, header});
}

Result<etcdserverpb::RangeResponse> Client::Range(const etcdserverpb::RangeRequest& request,
                                                  const CallOptions& options) {
  return Call<etcdserverpb::RangeResponse>(
      Kind::kRead, options, [&](const Stubs& stubs, grpc::ClientContext& context, auto& reply) {
        return stubs.kv->Range(&context, request, &reply);
      });
}

Result<etcdserverpb::PutResponse> Client::Put(const etcdserverpb::PutRequest& request,
                                              const CallOptions& options) {
  return Call<etcdserverpb::PutResponse>(
      Kind::kMutation, options, [&](const Stubs& stubs, grpc::ClientContext& context, auto& reply) {
        return stubs.kv->Put(&context, request, &reply);
      });
}

Result<etcdserverpb::DeleteRangeResponse> Client::DeleteRange(
    const etcdserverpb::DeleteRangeRequest& request, const CallOptions& options) {
  return Call<etcdserverpb::DeleteRangeResponse>(
      Kind::kMutation, options, [&](const Stubs& stubs, grpc::ClientContext& context, auto& reply) {
        return stubs.kv->DeleteRange(&context, request, &reply);
      });
}

Result<etcdserverpb::TxnResponse> Client::Txn(const etcdserverpb::TxnRequest& request,
                                              const CallOptions& options) {
  return Call<etcdserverpb::TxnResponse>(
      ReadsOnly(request) ? Kind::kRead : Kind::kMutation, options,
      [&](const Stubs& stubs, grpc::ClientContext& context, auto& reply) {
        return stubs.kv->Txn(&context, request, &reply);
      });
}

Result<etcdserverpb::CompactionResponse> Client::Compact(
    const etcdserverpb::CompactionRequest& request, const CallOptions& options) {
  return Call<etcdserverpb::CompactionResponse>(
      Kind::kMutation, options, [&](const Stubs& stubs, grpc::ClientContext& context, auto& reply) {
        return stubs.kv->Compact(&context, request, &reply);
      });
}

std::unique_ptr<Watcher> Client::Watch(const etcdserverpb::WatchCreateRequest& create,
                                       const CallOptions& options) {
  return std::make_unique<Watcher>(driver_, create, options, options_.dial_timeout);
}

}  // namespace coppice::client
