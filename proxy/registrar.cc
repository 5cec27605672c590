#include "proxy/registrar.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/log.h"
#include "common/node/flags.h"
#include "common/replica/replica_wire.h"

namespace coppice::proxy {
namespace {

constexpr Micros kPauseMin = 100 * kMillisecond;

}  // namespace

Registrar::Registrar(io::Loop& loop, Pool& pool, Options options)
    : loop_(loop), pool_(pool), options_(std::move(options)), renewer_(pool.registry()) {}

Registrar::~Registrar() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

io::Connection* Registrar::Upstream() const {
  const std::optional<BackendId> id = pool_.router().Choose({.leader = true});
  return id ? pool_.ConnectionOf(*id) : nullptr;
}

void Registrar::Describe(const io::Connection& upstream) {
  described_ = true;
  const std::string host = upstream.local_host();
  options_.self.client_urls = node::AdvertisedUrls(options_.advertised, options_.listening, host);
  const auto metrics = node::AdvertisedUrls({}, options_.metrics, host);
  if (!metrics.empty()) options_.self.metrics_url = metrics.front();
  renewer_.SetOwn(options_.self);
}

void Registrar::OnChange() {
  io::Connection* upstream = Upstream();
  if (upstream == nullptr) return;
  if (!described_) Describe(*upstream);
  if (std::exchange(upstream_, upstream->id()) != upstream->id()) {
    renewer_.UpstreamChanged(loop_.now());
  }
  if (const std::string why = renewer_.Refused(); !why.empty() && !said_refused_) {
    said_refused_ = true;
    COPPICE_LOG(kWarn, "not in the registry: {}; requests are served all the same", why);
  }
  ArmTimer();
}

void Registrar::Send() {
  io::Connection* upstream = Upstream();
  if (upstream == nullptr) return;  // OnChange tells of the next one
  const replica::RenewBundle bundle = renewer_.Take(loop_.now());
  if (!bundle.empty()) {
    const std::string bytes = replica::EncodeRenewBundle(bundle);
    io::Frame frame;
    frame.type = io::FrameType::kRegistryRenew;
    frame.payload = bytes;
    upstream->Send(frame);
  }
  ArmTimer();
}

void Registrar::ArmTimer() {
  if (timer_ != 0) return;
  const Time due = renewer_.NextDeadline();
  if (due == kNever) return;
  timer_ = loop_.RunAt(std::max(due, loop_.now() + kPauseMin), [this] {
    timer_ = 0;
    Send();
  });
}

}  // namespace coppice::proxy
