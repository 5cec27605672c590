#include "common/replica/registry_keeper.h"

#include <algorithm>
#include <utility>

namespace coppice::replica {
namespace {

constexpr Micros kProposeAgain = 1 * kSecond;  // a proposal may be lost with a leader
constexpr Micros kJoinInterval = 500 * kMillisecond;
constexpr Micros kJoinBundle = 10 * kMillisecond;  // joins are urgent, renewals are not
constexpr Micros kRenewBundle = 500 * kMillisecond;
constexpr int kRenewalsPerTtl = 4;
constexpr std::size_t kBundleNodesMax = 4096;

}  // namespace

void RegistryKeeper::BecomeLeader(Time now) {
  if (leading_) return;
  leading_ = true;
  since_ = now;
}

void RegistryKeeper::StepDown() {
  leading_ = false;
  heard_.clear();
  proposed_.clear();
  expiring_.clear();
}

void RegistryKeeper::Received(Time now, const RenewBundle& bundle,
                              std::vector<std::string>& propose) {
  if (!leading_) return;
  for (const Renewal& renewal : bundle.renewals) {
    const Registry::Node* node = registry_.Find(renewal.id);
    if (node == nullptr || node->registration.boot != renewal.boot) continue;
    Time& heard = heard_[renewal.id];
    heard = std::max(heard, now - renewal.age);
  }
  for (const Registration& join : bundle.joins) {
    if (!registry_.WhyRefused(join).empty()) continue;
    const Registry::Node* node = registry_.Find(join.id);
    heard_[join.id] = now;
    if (node != nullptr && node->registration == join) continue;
    Proposed& proposed = proposed_[join.id];
    if (proposed.registration == join && now < proposed.retry_at) continue;
    proposed = {join, now + kProposeAgain};
    propose.push_back(EncodeRegistryChange(RegistryJoin{join}));
  }
}

Time RegistryKeeper::Deadline(NodeId id, const Registry::Node& node) const {
  const auto heard = heard_.find(id);
  const Time last = heard == heard_.end() ? since_ : std::max(heard->second, since_);
  const auto expiring = expiring_.find(id);
  const Time again = expiring == expiring_.end() ? 0 : expiring->second;
  return std::max(last + node.registration.ttl, again);
}

void RegistryKeeper::Expire(Time now, std::vector<std::string>& propose) {
  if (!leading_) return;
  for (const auto& [id, node] : registry_.nodes()) {
    if (Deadline(id, node) > now) continue;
    expiring_[id] = now + kProposeAgain;
    propose.push_back(EncodeRegistryChange(RegistryExpire{id, node.version}));
  }
  const auto gone = [&](const auto& item) { return registry_.Find(item.first) == nullptr; };
  std::erase_if(expiring_, gone);
  std::erase_if(proposed_, [&](const auto& item) { return item.second.retry_at <= now; });
  std::erase_if(heard_,
                [&](const auto& item) { return gone(item) && !proposed_.contains(item.first); });
}

Time RegistryKeeper::NextDeadline() const {
  if (!leading_) return kNever;
  Time next = kNever;
  for (const auto& [id, node] : registry_.nodes()) next = std::min(next, Deadline(id, node));
  return next;
}

void RegistryRenewer::SetOwn(Registration own) {
  if (has_own_ && own == own_) return;
  own_ = std::move(own);
  has_own_ = true;
  own_sent_at_ = 0;
}

void RegistryRenewer::UpstreamChanged(Time /*now*/) {
  own_sent_at_ = 0;
}

void RegistryRenewer::Received(Time now, const RenewBundle& bundle) {
  for (const Renewal& renewal : bundle.renewals) {
    if (renewals_.size() >= kBundleNodesMax && !renewals_.contains(renewal.id)) continue;
    Heard& heard = renewals_[renewal.id];
    if (renewal.boot < heard.boot) continue;
    heard = {renewal.boot, std::max(heard.at, now - renewal.age)};
    bundle_due_ = std::min(bundle_due_, now + kRenewBundle);
  }
  for (const Registration& join : bundle.joins) {
    if (joins_.size() >= kBundleNodesMax && !joins_.contains(join.id)) continue;
    joins_[join.id] = join;
    bundle_due_ = std::min(bundle_due_, now + kJoinBundle);
  }
}

bool RegistryRenewer::Registered() const {
  const Registry::Node* node = registry_.Find(own_.id);
  return node != nullptr && node->registration == own_;
}

std::string RegistryRenewer::Refused() const {
  return has_own_ ? registry_.WhyRefused(own_) : std::string();
}

Time RegistryRenewer::OwnDue() const {
  if (!has_own_ || registry_.FindBan(own_.id) != nullptr) return kNever;
  if (own_sent_at_ == 0) return 0;
  return own_sent_at_ + (Registered() ? own_.ttl / kRenewalsPerTtl : kJoinInterval);
}

Time RegistryRenewer::NextDeadline() const {
  return std::min(OwnDue(), bundle_due_);
}

RenewBundle RegistryRenewer::Take(Time now) {
  RenewBundle bundle;
  if (now < NextDeadline()) return bundle;
  if (OwnDue() <= now) {
    if (Registered()) {
      bundle.renewals.push_back({own_.id, own_.boot, 0});
    } else {
      bundle.joins.push_back(own_);
    }
    own_sent_at_ = now;
  }
  for (const auto& [id, heard] : renewals_) {
    bundle.renewals.push_back({id, heard.boot, std::max<Micros>(0, now - heard.at)});
  }
  for (auto& [id, join] : joins_) bundle.joins.push_back(std::move(join));
  renewals_.clear();
  joins_.clear();
  bundle_due_ = kNever;
  return bundle;
}

}  // namespace coppice::replica
