#include "common/node/leader_forwarder.h"

#include <algorithm>
#include <utility>

#include "common/api/errors.h"

namespace coppice::node {
namespace {

constexpr Micros kTick = 100 * kMillisecond;

}  // namespace

LeaderForwarder::LeaderForwarder(io::Loop& loop, io::Transport& transport, Rng rng)
    : loop_(loop), transport_(transport), rng_(rng) {}

LeaderForwarder::~LeaderForwarder() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void LeaderForwarder::ToLeader(const api::Request& request, std::unique_ptr<api::Replier> replier) {
  if (backend_ == nullptr) Connect();
  if (timer_ == 0) Tick();
  if (backend_ != nullptr && backend_->up()) return backend_->Send(request, std::move(replier));
  Unanswered held;
  held.request = request;
  held.bytes = request.bytes;
  held.token = request.token;
  held.replier = std::move(replier);
  waiting_.push_back(std::move(held));
}

bool LeaderForwarder::LeaderAddress(api::Url& out) {
  if (facts_ != nullptr && facts_->leader != NodeId() && facts_->members != nullptr) {
    for (const replica::Registration& member : *facts_->members) {
      if (member.id != facts_->leader || member.peer_urls.empty()) continue;
      const auto url = api::ParseUrl("peer", member.peer_urls.front());
      if (url.ok()) {
        out = *url;
        return true;
      }
    }
  }
  if (fallback_.empty()) return false;
  out = fallback_[next_fallback_++ % fallback_.size()];
  return true;
}

void LeaderForwarder::Connect() {
  api::Url address;
  if (!LeaderAddress(address)) return;
  if (backend_ != nullptr && address == address_) return;
  if (backend_ != nullptr) retired_.push_back(std::move(backend_));
  address_ = address;
  Link::Options options;
  options.host = address.host;
  options.port = address.port;
  backend_ = std::make_unique<Backend>(loop_, transport_, options, *this, Rng(rng_.Next()));
  backend_->Start();
}

void LeaderForwarder::FactsChanged(const FactsPtr& facts) {
  const bool moved = facts_ == nullptr || facts_->leader != facts->leader;
  facts_ = facts;
  if (backend_ != nullptr && moved) Connect();
  if (backend_ != nullptr && backend_->up()) SendWaiting();
}

void LeaderForwarder::SendWaiting() {
  for (Unanswered& held : std::exchange(waiting_, {})) {
    backend_->Send(held.Renew(), std::move(held.replier));
  }
}

void LeaderForwarder::OnUp(Backend& backend) {
  if (&backend == backend_.get()) SendWaiting();
}

void LeaderForwarder::OnDown(Backend& backend, const Status& reason, std::vector<Unanswered> left) {
  for (Unanswered& lost : left) {
    lost.replier->Fail(
        MakeStatus(StatusCode::kUnavailable,
                   "etcdserver: the connection to the leader was lost and the outcome "
                   "of this request is unknown: " +
                       std::string(MessageOf(reason))));
  }
  if (&backend == backend_.get() && !fallback_.empty()) Connect();
}

void LeaderForwarder::OnNotProposed(Backend& /*backend*/, Unanswered request) {
  waiting_.push_back(std::move(request));  // the next tick, or the next leader, takes it
}

void LeaderForwarder::Tick() {
  retired_.erase(std::remove_if(retired_.begin(), retired_.end(),
                                [](const auto& old) { return old->outstanding() == 0; }),
                 retired_.end());
  if (backend_ != nullptr) backend_->Expire(loop_.now());
  for (const auto& old : retired_) old->Expire(loop_.now());
  std::vector<Unanswered> late;
  for (std::size_t i = 0; i < waiting_.size();) {
    if (waiting_[i].request.deadline > loop_.now()) {
      ++i;
      continue;
    }
    late.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (Unanswered& held : late) {
    held.replier->FailNotProposed(api::ToStatus(api::EtcdError::kTimeout));
  }
  if (backend_ != nullptr && backend_->up()) SendWaiting();
  if (backend_ == nullptr) Connect();
  timer_ = loop_.RunAt(loop_.now() + kTick, [this] { Tick(); });
}

}  // namespace coppice::node
