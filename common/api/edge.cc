#include "common/api/edge.h"

#include <string>
#include <utility>

#include "common/api/errors.h"
#include "common/api/health.h"
#include "common/api/metadata.h"
#include "common/api/methods.h"
#include "common/api/parse.h"

namespace coppice::api {

// A unary method that goes to the node.
class Edge::Unary final : public rpc::CallHandler {
 public:
  Unary(Edge& edge, const MethodInfo& info) : edge_(edge), info_(info) {}

  void OnMessage(rpc::Call& call, std::string_view message) override {
    edge_.Serve(info_, call, message);
  }
  void OnDrained(rpc::Call& call) override {
    if (call.context != nullptr) static_cast<CallState*>(call.context)->OnDrained(call);
  }
  void OnDone(rpc::Call& call) override {
    if (call.context != nullptr) {
      static_cast<CallState*>(std::exchange(call.context, nullptr))->OnDone();
    }
  }

 private:
  Edge& edge_;
  const MethodInfo& info_;
};

class Edge::Unbuilt final : public rpc::CallHandler {
 public:
  explicit Unbuilt(const MethodInfo& info) : info_(info) {}
  void OnStart(rpc::Call& call) override { call.Finish(NotImplemented(info_.path)); }
  void OnMessage(rpc::Call& call, std::string_view /*message*/) override {
    call.Finish(NotImplemented(info_.path));
  }

 private:
  const MethodInfo& info_;
};

Edge::Edge(Node& node, io::Loop& loop, EdgeOptions options)
    : node_(node), loop_(loop), options_(std::move(options)) {}

Edge::~Edge() {
  if (armed_) loop_.Cancel(timer_);
}

std::vector<rpc::MethodSpec> Edge::Methods(rpc::CallHandler* watch, Health& health) {
  std::vector<rpc::MethodSpec> specs;
  for (const MethodInfo& info : api::Methods()) {
    rpc::MethodSpec& spec = specs.emplace_back();
    spec.path = info.path;
    spec.client_streams = info.client_streams;
    spec.server_streams = info.server_streams;
    if (info.path == "/grpc.health.v1.Health/Check") {
      spec.handler = &health.check();
    } else if (info.path == "/grpc.health.v1.Health/Watch") {
      spec.handler = &health.watch();
    } else if (info.path == "/etcdserverpb.Watch/Watch" && watch != nullptr) {
      spec.handler = watch;
    } else if (info.built && info.method != Method::kUnknown) {
      spec.handler = handlers_.emplace_back(std::make_unique<Unary>(*this, info)).get();
    } else {
      spec.handler = handlers_.emplace_back(std::make_unique<Unbuilt>(info)).get();
    }
  }
  return specs;
}

Status Edge::Resolve(const MethodInfo& info, rpc::Call& call, std::string_view message,
                     Consistency& out) const {
  bool serializable = false;
  if (info.method == Method::kRange) {
    RangeRouting routing;
    if (!ScanRangeRouting(message, routing)) return Malformed("etcdserverpb.RangeRequest");
    serializable = routing.serializable;
  } else if (info.method == Method::kTxn) {
    TxnRouting routing;
    if (!ScanTxnRouting(message, routing)) return Malformed("etcdserverpb.TxnRequest");
    serializable = routing.serializable;
  } else if (info.method == Method::kMemberList) {
    serializable = !ScanMemberListLinearizable(message);
  }
  static const Consistency kLinearizable;
  const auto listener = static_cast<std::size_t>(call.listener());
  const auto& defaults = options_.listener_defaults;
  return ResolveConsistency(call.metadata(), serializable,
                            listener < defaults.size() ? defaults[listener] : kLinearizable, out);
}

void Edge::Serve(const MethodInfo& info, rpc::Call& call, std::string_view message) {
  Request request;
  request.method = info.method;
  request.bytes = message;
  request.token = call.metadata().token;
  Status status = CheckSize(info, message.size(), options_.limits);
  if (status.ok()) status = Resolve(info, call, message, request.consistency);
  if (!status.ok()) {
    if (options_.observer != nullptr) {
      options_.observer->OnAnswered(info.method, status.code(), 0, nullptr);
    }
    return call.Finish(status);
  }
  auto pending = std::make_unique<PendingCall>(
      PendingCall::Context{call, pending_, options_.observer, options_.timeout, loop_}, request);
  if (!armed_) ArmTimer();
  node_.Serve(request, std::move(pending));
}

void Edge::Expire(Time now) {
  while (!pending_.empty() && PendingCall::From(pending_.front()).due() <= now) {
    PendingCall::From(pending_.front()).Fail(ToStatus(EtcdError::kTimeout));
  }
}

// Armed for the oldest call; while calls come and go in time, it fires once per timeout.
void Edge::ArmTimer() {
  if (pending_.empty()) return;
  armed_ = true;
  timer_ = loop_.RunAt(PendingCall::From(pending_.front()).due(), [this] {
    armed_ = false;
    Expire(loop_.now());
    ArmTimer();
  });
}

}  // namespace coppice::api
