#include "common/api/health.h"

#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "common/api/errors.h"
#include "common/api/methods.h"
#include "common/api/parse.h"
#include "etcd/health.pb.h"

namespace coppice::api {
namespace {

using grpc::health::v1::HealthCheckResponse;

bool Known(std::string_view service) {
  if (service.empty()) return true;
  for (const MethodInfo& info : Methods()) {
    if (info.path.substr(1, info.path.rfind('/') - 1) == service) return true;
  }
  return false;
}

void Send(rpc::Call& call, HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  const std::string bytes = response.SerializeAsString();
  const std::string_view pieces[] = {bytes};
  call.Write(pieces);
}

HealthCheckResponse::ServingStatus StatusOf(bool serving) {
  return serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

}  // namespace

class Health::Check final : public rpc::CallHandler {
 public:
  explicit Check(const std::function<bool()>& serving) : serving_(serving) {}

  void OnMessage(rpc::Call& call, std::string_view message) override {
    grpc::health::v1::HealthCheckRequest request;
    if (const Status status = ParseMessage(message, request); !status.ok()) {
      return call.Finish(status);
    }
    if (!Known(request.service())) {
      return call.Finish(MakeStatus(StatusCode::kNotFound, "unknown service"));
    }
    Send(call, StatusOf(serving_()));
    call.Finish(OkStatus());
  }

 private:
  const std::function<bool()>& serving_;
};

// Streams stay open for as long as the client wants them.
class Health::Watch final : public rpc::CallHandler {
 public:
  explicit Watch(const std::function<bool()>& ask) : ask_(ask), serving_(ask()) {}

  void OnMessage(rpc::Call& call, std::string_view message) override {
    grpc::health::v1::HealthCheckRequest request;
    if (const Status status = ParseMessage(message, request); !status.ok()) {
      return call.Finish(status);
    }
    if (!Known(request.service())) return Send(call, HealthCheckResponse::SERVICE_UNKNOWN);
    Update();
    Send(call, StatusOf(serving_));
    calls_.insert(&call);
  }
  void OnShutdown(rpc::Call& call) override { call.Finish(ToStatus(EtcdError::kStopped)); }
  void OnDone(rpc::Call& call) override { calls_.erase(&call); }

  void Update() {
    const bool serving = ask_();
    if (std::exchange(serving_, serving) == serving) return;
    for (rpc::Call* call : calls_) Send(*call, StatusOf(serving));
  }

 private:
  const std::function<bool()>& ask_;
  bool serving_;
  std::unordered_set<rpc::Call*> calls_;
};

Health::Health(std::function<bool()> serving)
    : serving_(std::move(serving)),
      check_(std::make_unique<Check>(serving_)),
      watch_(std::make_unique<Watch>(serving_)) {}
Health::~Health() = default;

rpc::CallHandler& Health::check() {
  return *check_;
}
rpc::CallHandler& Health::watch() {
  return *watch_;
}
void Health::Update() {
  watch_->Update();
}

}  // namespace coppice::api
